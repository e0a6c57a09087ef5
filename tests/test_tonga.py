"""TONGA: what it solves, what it keeps, and what bad gradients do."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from tonga import LIMITS, on_host, relative_errors, steps_on

import oracle

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("decay", [0.9, 1.0])
def test_is_exact_in_the_first_window(backend, rng, decay):
    gradients = rng.standard_normal((12, 40))
    exact = oracle.Tonga(40, rank=1, window=12, decay=decay, damping=0.01)

    found = steps_on(backend, cb.TONGA(40, rank=2, window=12, decay=decay, damping=0.01), gradients)

    assert max(relative_errors(found, [exact.step(g) for g in gradients])) < 1e-12


def test_is_exact_for_ever_if_all_eigenvectors_are_kept(cpu, rng):
    gradients = rng.standard_normal((30, 6))
    exact = oracle.Tonga(6, rank=6, window=100, decay=0.9, damping=0.01)

    found = steps_on(cpu, cb.TONGA(6, rank=6, window=1, decay=0.9, damping=0.01), gradients)

    assert max(relative_errors(found, [exact.step(g) for g in gradients])) < 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
def test_keeps_the_best_approximation_of_its_rank(backend, rng, dtype):
    gradients = (rng.standard_normal((14, 33)) * np.linspace(1, 0.1, 33)).astype(dtype)
    direct = oracle.Tonga(33, **LIMITS)

    found = steps_on(backend, cb.TONGA(33, **LIMITS), gradients)

    assert max(relative_errors(found, [direct.step(g) for g in gradients])) < oracle.tolerance(dtype, condition=100)


@pytest.mark.parametrize("sizes", [[1] * 5, [4, 4], [3], [5, 1, 9], [11]])
def test_takes_several_gradients_in_turn_and_solves_for_their_mean(backend, rng, sizes):
    """Also where they fill a window, or go beyond it."""
    batches = [rng.standard_normal((N, 20)) for N in sizes]
    direct = oracle.Tonga(20, **LIMITS)

    found = steps_on(backend, cb.TONGA(20, **LIMITS), batches)

    assert max(relative_errors(found, [direct.step(g) for g in batches])) < 1e-11


@pytest.mark.parametrize("each", [1, 6])
def test_a_block_is_what_it_is_alone(backend, rng, each):
    """Also where several gradients go beyond a window."""
    sizes = [1, 5, 5, 20, 33, 2]
    gradients = rng.standard_normal((9, each, sum(sizes))).astype(np.float32)
    gradients = gradients[:, 0] if each == 1 else gradients

    together = steps_on(backend, cb.TONGA(sum(sizes), blocks=sizes, **LIMITS), gradients)

    first = 0
    for size in sizes:
        own = slice(first, first + size)
        alone = steps_on(backend, cb.TONGA(size, **LIMITS), np.ascontiguousarray(gradients[..., own]))
        assert np.array_equal([v[own] for v in together], alone, equal_nan=True)
        first += size


def test_has_the_same_bits_for_any_number_of_threads(cpu, rng):
    sizes = [400_000, 3, 40, 700]
    gradients = rng.standard_normal((10, sum(sizes))).astype(np.float32)
    found = []

    for threads in (1, 2, 3, 7):
        cb.set_num_threads(threads)
        found.append(steps_on(cpu, cb.TONGA(sum(sizes), blocks=sizes, **LIMITS), gradients))

    assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_predicts_a_decrease_below_one(cpu, rng, dtype):
    """C holds g g^T: 0 <= g.v < 1."""
    gradients = rng.standard_normal((50, 30)).astype(dtype)

    found = steps_on(cpu, cb.TONGA(30, rank=4, window=7, damping=1e-6), gradients)

    decrease = np.einsum("ij,ij->i", np.float64(gradients), np.float64(found))
    assert (decrease >= 0).all()
    assert (decrease < 1 + 1e-5).all()


def test_does_not_depend_on_the_coordinates(cpu, rng):
    gradients = rng.standard_normal((13, 17))
    rotation = np.linalg.qr(rng.standard_normal((17, 17)))[0]

    plain, rotated = (steps_on(cpu, cb.TONGA(17, **LIMITS), G) for G in (gradients, gradients @ rotation.T))

    assert max(relative_errors(rotated, [rotation @ v for v in plain])) < 1e-11


def test_much_damping_leaves_the_gradient(cpu, rng):
    g = rng.standard_normal(9)

    (v,) = steps_on(cpu, cb.TONGA(9, damping=1e12), [g])

    assert np.allclose(v * 1e12, g, rtol=1e-10)


def test_renormalizes_by_the_gradients_seen(cpu, rng):
    batches = [rng.standard_normal((2, 7)), rng.standard_normal(7)]
    options = {"rank": 2, "window": 9, "damping": 0.1}

    for decay, factors in [(0.9, (1.9, 2.71)), (1.0, (2, 3))]:
        plain = steps_on(cpu, cb.TONGA(7, decay=decay, **options), batches)
        scaled = steps_on(cpu, cb.TONGA(7, decay=decay, renormalize=True, **options), batches)
        assert max(relative_errors(scaled, [f * v for f, v in zip(factors, plain, strict=True)])) < 1e-14


def test_the_damping_follows_the_smallest_eigenvalue_that_is_kept(backend, rng):
    gradients = rng.standard_normal((4, 12))
    method = cb.TONGA(12, blocks=[10, 2], min_damping=0.5, **LIMITS)
    squares = sum(0.9 ** (3 - i) * np.outer(g[:10], g[:10]) for i, g in enumerate(gradients))

    steps_on(backend, method, gradients)

    assert np.allclose(on_host(backend, method.damping), [np.linalg.eigvalsh(squares)[-3], 0.5], rtol=1e-12)


class TestBadGradients:
    def test_zeros_are_ordinary(self, backend):
        method = cb.TONGA(6, **LIMITS)

        found = steps_on(backend, method, np.zeros((9, 6)))

        assert not np.any(found)
        assert (
            np.asarray(method.status if not hasattr(backend, "to_host") else backend.to_host(method.status))
            == Status.OK
        ).all()

    def test_the_same_one_over_and_over(self, cpu, rng):
        g = rng.standard_normal(10)
        exact = oracle.Tonga(10, rank=10, window=100, decay=0.9, damping=1e-3)

        found = steps_on(cpu, cb.TONGA(10, rank=3, window=4, decay=0.9), [g] * 11)

        assert max(relative_errors(found, [exact.step(g) for _ in range(11)])) < 1e-10

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_only_the_block_of_a_bad_number_reports_it(self, backend, rng, bad):
        gradients = rng.standard_normal((8, 30)).astype(np.float32)
        spoiled = gradients.copy()
        spoiled[2, 12] = bad
        gradients[2, 10:20] = 0
        method = cb.TONGA(30, blocks=[10, 10, 10], **LIMITS)

        found = steps_on(backend, method, spoiled[:3])
        status = on_host(backend, method.status)
        found += steps_on(backend, method, spoiled[3:])

        assert status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.isnan(found[2][10:20]).all()
        found[2][10:20] = 0
        assert np.array_equal(found, steps_on(backend, cb.TONGA(30, blocks=[10, 10, 10], **LIMITS), gradients))

    @pytest.mark.parametrize("size", [1e-20, 1e20])
    @pytest.mark.parametrize("rank", [3, 10])
    def test_tiny_and_huge_float32_gradients(self, backend, rng, rank, size):
        gradients = rng.standard_normal((9, 15))
        limits = LIMITS | {"rank": rank, "damping": 0.1 * size**2}
        exact, method = oracle.Tonga(15, **limits), cb.TONGA(15, **limits)

        found = steps_on(backend, method, (size * gradients).astype(np.float32))

        assert max(relative_errors(found, [exact.step(size * g) for g in gradients])) < 1e-4

    def test_one_gradient_that_is_much_longer_than_the_rest(self, backend, rng):
        gradients = rng.standard_normal((9, 6))
        gradients[1] = 0
        gradients[1, 2] = 1e9
        method = cb.TONGA(6, **LIMITS)

        found = steps_on(backend, method, gradients)

        C, others = np.outer(gradients[0], gradients[0]), np.arange(6) != 2
        for g, v in zip(gradients[1:4], found[1:4], strict=True):
            C = LIMITS["decay"] * C + np.outer(g, g)
            assert np.abs(C @ v + LIMITS["damping"] * v - g)[others].max() < 1e-10
            assert np.abs(v[2]) < 1e-8
        assert np.isfinite(found).all()

    def test_more_gradients_than_a_window_in_a_narrow_space(self, cpu, rng):
        """Their mean cancels down to damping over eigenvalue: accurate as far as that can be, else a status."""
        gradients = 10 * rng.standard_normal((3, 32, 5)) @ rng.standard_normal((5, 300))
        exact = oracle.Tonga(300, rank=10, window=20, decay=0.995, damping=1e-3)

        found = steps_on(cpu, cb.TONGA(300), gradients)

        assert max(relative_errors(found, [exact.step(g) for g in gradients])) < 1e-4

    def test_a_mean_that_cancels_beyond_its_dtype_is_inaccurate(self, backend):
        method = cb.TONGA(4, rank=1, window=2, decay=0.9, damping=1e-12)

        (v,) = steps_on(backend, method, [np.ones((5, 4), np.float32)])

        assert np.isnan(v).all()
        assert on_host(backend, method.status).tolist() == [Status.INACCURATE]

    def test_a_gradient_whose_square_no_float64_holds(self, cpu, rng):
        method = cb.TONGA(5, rank=2, window=4)
        method.step(rng.standard_normal(5))

        assert np.isnan(method.step(np.full(5, 1e160))).all()
        assert method.status.tolist() == [Status.NOT_FINITE]
        assert np.isfinite(steps_on(cpu, method, rng.standard_normal((6, 5)))).all()

    def test_a_gradient_beyond_its_dtype_is_refused(self, cpu):
        method = cb.TONGA(4, rank=2, window=30, decay=0.5)
        for _ in range(28):
            method.step(np.ones(4, np.float32))

        v = method.step(np.full(4, 3e37, np.float32))

        assert np.isnan(v).all()
        assert method.status.tolist() == [Status.NOT_FINITE]
