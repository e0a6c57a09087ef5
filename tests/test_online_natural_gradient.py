"""Kaldi's online natural gradient against its definition."""

import pickle

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle


def calls_on(on, method, batches):
    """Call after call on a backend; arrays of the host in and out."""
    if not hasattr(on, "to_device"):
        return [method.precondition(X) for X in batches]
    there = [[on.to_device(x) for x in X] if isinstance(X, list) else on.to_device(X) for X in batches]
    found = [method.precondition(X) for X in there]
    return [[on.to_host(x) for x in X] if isinstance(X, list) else on.to_host(X) for X in found]


def on_host(on, x):
    return on.to_host(x) if hasattr(on, "to_host") else x


def coloured(rng, D, dtype=np.float64):
    mixing = rng.standard_normal((D, D)) * np.linspace(1, 0.1, D)
    return lambda N: (rng.standard_normal((N, D)) @ mixing).astype(dtype)


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


class TestState:
    def test_goes_on_bit_by_bit_with_other_threads(self, cpu, rng):
        draw = coloured(rng, 50, np.float32)
        batches = [[draw(20), draw(30)] for _ in range(20)]
        method = cb.OnlineNaturalGradient([50, 50], rank=6)
        calls_on(cpu, method, batches[:12])
        state = method.state_dict()
        expected = calls_on(cpu, method, batches[12:])

        cb.set_num_threads(3)
        other = cb.OnlineNaturalGradient([50, 50], rank=6)
        other.load_state_dict(state)

        for found, wanted in zip(calls_on(cpu, other, batches[12:]), expected, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))

    def test_can_be_pickled(self, cpu, rng):
        X = rng.standard_normal((9, 5))
        method = cb.OnlineNaturalGradient(5, rank=2)
        method.precondition(X)

        other = pickle.loads(pickle.dumps(method))

        assert np.array_equal(method.precondition(X), other.precondition(X))

    def test_that_does_not_fit_is_refused(self):
        method = cb.OnlineNaturalGradient(5, rank=2)
        method.precondition(np.ones((9, 5)))
        state = method.state_dict()

        with pytest.raises(
            ValueError, match=r"state\['rows'\] must be a float32 or float64 array of shape \(4, 6\), got float64 of"
        ):
            cb.OnlineNaturalGradient(6, rank=2).load_state_dict(state)
        with pytest.raises(ValueError, match="state must have rows, values, rho, calls, frozen, got rows, calls"):
            method.load_state_dict({"rows": [], "calls": 0})
        with pytest.raises(ValueError, match=r"state\['calls'\] = 3 does not fit the other entries"):
            method.load_state_dict({"calls": 3, "frozen": False})
        for name, wrong in (("rows", None), ("values", state["values"][0]), ("rho", [])):
            with pytest.raises(ValueError, match=rf"state\['{name}'\] must be a list of 1 arrays"):
                method.load_state_dict(state | {name: wrong})
        with pytest.raises(ValueError, match=r"state\['values'\] must be a float64 array of shape \(2,\), got float32"):
            method.load_state_dict(state | {"values": [state["values"][0].astype(np.float32)]})

    def test_knows_whether_it_is_frozen(self, cpu, rng):
        method, other = cb.OnlineNaturalGradient(5, rank=2), cb.OnlineNaturalGradient(5, rank=2)
        method.precondition(rng.standard_normal((9, 5)))
        method.frozen = True

        other.load_state_dict(method.state_dict())

        assert other.frozen


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"dim": 0}, ValueError, "dim must be an int >= 1, got 0"),
            ({"dim": [3, 2.0]}, TypeError, r"dim\[1\] must be an int >= 1, got float"),
            ({"dim": []}, ValueError, "dim must be an int >= 1 or a list of them, got an empty list"),
            ({"dim": [3, 4], "rank": [1]}, ValueError, "rank must have an entry for each of 2 dims, got 1"),
            ({"dim": 3, "alpha": 0}, ValueError, "alpha must be a finite number > 0, got 0"),
            ({"dim": 3, "history": "long"}, TypeError, "history must be a finite number > 0, got str"),
            ({"dim": 3, "delta": 1.0}, ValueError, r"delta must be a number in \(0, 1\), got 1.0"),
            ({"dim": 3, "minibatch_history": 1}, ValueError, "minibatch_history must be a finite number > 1, got 1"),
            ({"dim": 3, "update_period": 0}, ValueError, "update_period must be an int >= 1, got 0"),
        ],
    )
    def test_of_the_object(self, options, error, message):
        with pytest.raises(error, match=message):
            cb.OnlineNaturalGradient(**options)

    def test_of_a_call(self):
        one, two = cb.OnlineNaturalGradient(3, rank=1), cb.OnlineNaturalGradient([3, 4], rank=1)

        with pytest.raises(ValueError, match=r"X must have shape \(N, 3\) with N > 0, got \(4,\)"):
            one.precondition(np.ones(4))
        with pytest.raises(ValueError, match=r"X must have shape \(N, 3\) with N > 0, got \(0, 3\)"):
            one.precondition(np.ones((0, 3)))
        with pytest.raises(ValueError, match="X must have 2 arrays, one for each dim, got 1"):
            two.precondition([np.ones((2, 3))])
        with pytest.raises(ValueError, match=r"X\[1\] must have shape \(N, 4\) with N > 0, got \(2, 3\)"):
            two.precondition([np.ones((2, 3))] * 2)
        with pytest.raises(TypeError, match="X must be a list of arrays, as dim is, got ndarray"):
            two.precondition(np.ones((2, 3)))
        one.precondition(np.ones((2, 3)))
        with pytest.raises(TypeError, match="X must be float64 like the first X of this object, got float32"):
            one.precondition(np.ones((2, 3), np.float32))
