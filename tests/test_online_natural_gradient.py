"""Kaldi's online natural gradient against its definition."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from online import calls_on, coloured, on_host


@pytest.mark.parametrize(("N", "D", "rank"), [(30, 12, 4), (8, 12, 4), (40, 5, 40), (20, 2, 1), (70, 90, 35)])
class TestIsTheDefinition:
    def test_in_float64(self, backend, rng, N, D, rank):
        draw = coloured(rng, D)
        batches = [draw(N) for _ in range(20)]
        direct, method = oracle.OnlineNaturalGradient(D, rank=rank), cb.OnlineNaturalGradient(D, rank=rank)

        found = calls_on(backend, method, batches)

        for X, X_hat in zip(batches, found, strict=True):
            assert np.abs(X_hat - direct.precondition(X)).max() < 2e-13 * np.abs(X).max()
            assert np.isclose(np.linalg.norm(X_hat), np.linalg.norm(X), rtol=1e-13)
        assert np.allclose(on_host(backend, method.values), direct.d, rtol=1e-11)
        assert np.allclose(on_host(backend, method.rho), direct.rho, rtol=1e-11)

    def test_in_float32(self, cpu, rng, N, D, rank):
        draw = coloured(rng, D, np.float32)
        batches = [draw(N) for _ in range(20)]
        direct, method = oracle.OnlineNaturalGradient(D, rank=rank), cb.OnlineNaturalGradient(D, rank=rank)

        found = calls_on(cpu, method, batches)

        for X, X_hat in zip(batches, found, strict=True):
            assert X_hat.dtype == np.float32
            assert np.abs(X_hat - direct.precondition(np.float64(X))).max() < 2e-4 * np.abs(X).max()
            assert np.isclose(np.linalg.norm(X_hat), np.linalg.norm(X), rtol=1e-6)

    def test_keeps_the_trace_and_orthogonal_rows(self, cpu, rng, N, D, rank):
        draw = coloured(rng, D)
        method = cb.OnlineNaturalGradient(D, rank=rank, update_period=1)
        calls_on(cpu, method, [draw(N) for _ in range(5)])
        before = method.values.sum() + D * method.rho[0]
        X, eta = draw(N), 1 - np.exp(-N / 2000)

        method.precondition(X)

        expected = eta * (X**2).sum() / N + (1 - eta) * before
        if method.rho[0] > 6e-4 * (method.values + method.rho).max():  # at no floor
            assert np.isclose(method.values.sum() + D * method.rho[0], expected, rtol=1e-13)
        beta = method.rho * 5 + 4 * method.values.sum() / D
        R = method.weights * np.sqrt(beta / method.values + 1)[:, None]
        assert np.abs(R @ R.T - np.eye(len(R))).max() < 1e-3


def test_a_network_in_one_call_has_the_bits_of_each_layer_alone(backend, rng):
    dims, ranks, rows = [12, 1, 40, 33], [4, 3, 20, 33], [30, 5, 17, 50]
    draws = [coloured(rng, D, np.float32) for D in dims]
    batches = [[draw(N) for draw, N in zip(draws, rows, strict=True)] for _ in range(3)]

    together = calls_on(backend, cb.OnlineNaturalGradient(dims, rank=ranks), batches)

    for k, (D, rank) in enumerate(zip(dims, ranks, strict=True)):
        alone = calls_on(backend, cb.OnlineNaturalGradient(D, rank=rank), [X[k] for X in batches])
        assert all(np.array_equal(a, b[k]) for a, b in zip(alone, together, strict=True))
    assert all(np.array_equal(X[1], X_hat[1]) for X, X_hat in zip(batches, together, strict=True))


def test_has_the_same_bits_for_any_number_of_threads(cpu, rng):
    draw = coloured(rng, 300, np.float32)
    batches = [draw(400) for _ in range(3)]
    found = []

    for threads in (1, 2, 3, 7):
        cb.set_num_threads(threads)
        found.append(calls_on(cpu, cb.OnlineNaturalGradient(300, rank=20), batches))

    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_finds_the_eigenvalues_of_a_stationary_covariance(cpu, rng):
    D, rank = 12, 4
    basis = np.linalg.qr(rng.standard_normal((D, D)))[0]
    values = np.array([9.0, 7, 5, 3] + [0.5] * (D - rank))
    method = cb.OnlineNaturalGradient(D, rank=rank, update_period=1)

    for _ in range(300):
        method.precondition(rng.standard_normal((64, D)) * np.sqrt(values) @ basis.T)

    assert np.allclose(np.sort(method.values + method.rho)[::-1], values[:rank], rtol=0.1)
    assert np.isclose(method.rho[0], 0.5, rtol=0.1)


@pytest.mark.parametrize(("N", "D", "rank"), [(3, 10, 4), (1, 10, 4), (1, 6, 9), (2, 50, 40)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fewer_rows_than_rank(backend, rng, N, D, rank, dtype):
    method = cb.OnlineNaturalGradient(D, rank=rank)
    batches = [rng.standard_normal((N, D)).astype(dtype) for _ in range(12)]

    found = calls_on(backend, method, batches)

    assert not on_host(backend, method.status).any()
    for X, X_hat in zip(batches, found, strict=True):
        assert np.isclose(np.linalg.norm(X_hat), np.linalg.norm(X), rtol=1e-5)
        assert (X * X_hat).sum() > 0


@pytest.mark.parametrize("X", [np.ones((20, 7)), np.eye(7)[[2] * 20], np.eye(7)], ids=["equal", "one column", "unit"])
def test_rows_that_depend_on_each_other(backend, X):
    method = cb.OnlineNaturalGradient(7, rank=4)

    found = calls_on(backend, method, [X] * 14)

    assert not on_host(backend, method.status).any()
    for X_hat in found:
        assert np.isclose(np.linalg.norm(X_hat), np.linalg.norm(X))
        assert (X * X_hat).sum() > 0.5 * (X**2).sum()
    d, rho = on_host(backend, method.values), on_host(backend, method.rho)
    R = method.weights * np.sqrt((rho * 5 + 4 * d.sum() / 7) / d + 1)[:, None]
    assert np.abs(R @ R.T - np.eye(4)).max() < 2e-3


@pytest.mark.parametrize("size", [1e-20, 1e-3, 1e17])
def test_the_unit_of_the_rows_does_not_matter(backend, rng, size):
    """Nor does float32 overflow; epsilon is a number in the unit of squares."""
    draw = coloured(rng, 30)
    batches = [draw(25) for _ in range(5)]
    plain = cb.OnlineNaturalGradient(30, rank=5, epsilon=1e-10)
    scaled = cb.OnlineNaturalGradient(30, rank=5, epsilon=1e-10 * size**2)

    expected = calls_on(backend, plain, batches)
    found = calls_on(backend, scaled, [(size * X).astype(np.float32) for X in batches])

    for X, X_hat in zip(expected, found, strict=True):
        assert np.abs(X_hat / size - X).max() < 1e-4 * np.abs(X).max()


def test_the_size_of_a_minibatch_may_change(cpu, rng):
    draw = coloured(rng, 9)
    batches = [draw(N) for N in (20, 5, 64, 1, 20)]
    direct = oracle.OnlineNaturalGradient(9, rank=3)

    found = calls_on(cpu, cb.OnlineNaturalGradient(9, rank=3), batches)

    assert all(np.allclose(X_hat, direct.precondition(X)) for X, X_hat in zip(batches, found, strict=True))


def test_rows_may_lie_in_any_order_and_are_not_written(backend, rng):
    X = rng.standard_normal((40, 30)).astype(np.float32)
    before = X.copy()

    plain = calls_on(backend, cb.OnlineNaturalGradient(30, rank=5), [X])
    turned = calls_on(backend, cb.OnlineNaturalGradient(30, rank=5), [np.asfortranarray(X)])

    assert np.array_equal(X, before)
    assert np.allclose(plain[0], turned[0], atol=1e-5)


def test_zeros_change_nothing(backend, rng):
    X = rng.standard_normal((20, 7))
    plain, method = cb.OnlineNaturalGradient(7, rank=3), cb.OnlineNaturalGradient(7, rank=3)

    first = calls_on(backend, plain, [X, X])
    with_zeros = calls_on(backend, method, [X, np.zeros((20, 7)), X])

    assert not with_zeros[1].any()
    assert np.array_equal(first[1], with_zeros[2])


@pytest.mark.parametrize("first", [0.0, np.nan])
def test_the_start_waits_for_rows_that_say_something(backend, rng, first):
    X = rng.standard_normal((20, 7))
    plain, method = cb.OnlineNaturalGradient([7, 7], rank=3), cb.OnlineNaturalGradient([7, 7], rank=3)
    calls_on(backend, method, [[X, first * X]])
    other = cb.OnlineNaturalGradient([7, 7], rank=3)
    other.load_state_dict(method.state_dict())

    expected = calls_on(backend, plain, [[X, X]])

    for started in (method, other):
        assert np.array_equal(calls_on(backend, started, [[X, X]])[0][1], expected[0][1])


def test_large_and_small_float64(backend, rng):
    draw = coloured(rng, 12)
    batches = [draw(25) for _ in range(4)]
    expected = calls_on(backend, cb.OnlineNaturalGradient(12, rank=3), batches)

    for size in (1e-70, 1e100):
        scaled = cb.OnlineNaturalGradient(12, rank=3, epsilon=1e-10 * size**2)
        found = calls_on(backend, scaled, [size * X for X in batches])

        assert not on_host(backend, scaled.status).any()
        assert all(np.abs(a / size - b).max() < 1e-10 for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_number_leaves_its_state_and_all_others(backend, rng, bad):
    X = rng.standard_normal((20, 7))
    spoiled = X.copy()
    spoiled[3, 3] = bad
    plain, method = (cb.OnlineNaturalGradient([7, 7], rank=3) for _ in range(2))

    first = calls_on(backend, plain, [[X, X], [X, X]])
    before = calls_on(backend, method, [[X, X], [spoiled, X]])[1]
    status = on_host(backend, method.status).tolist()
    after = calls_on(backend, method, [[X, X]])[0]

    assert np.isnan(before[0]).all()
    assert status == [Status.NOT_FINITE, Status.OK]
    assert np.array_equal(before[1], first[1][1])
    assert np.array_equal(after[0], first[1][0])


def test_frozen_keeps_what_it_has(cpu, rng):
    draw = coloured(rng, 8)
    method = cb.OnlineNaturalGradient(8, rank=2)
    method.precondition(draw(30))
    values = method.values
    method.frozen = True

    method.precondition(draw(30))

    assert np.array_equal(values, method.values)


def test_a_history_of_minibatches_is_their_rate(cpu, rng):
    X = coloured(rng, 8)(30)
    by_rows = cb.OnlineNaturalGradient(8, rank=2, history=-30 / np.log1p(-0.25))

    found = cb.OnlineNaturalGradient(8, rank=2, minibatch_history=4).precondition(X)

    assert np.allclose(found, by_rows.precondition(X), rtol=1e-12)
