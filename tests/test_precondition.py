"""Two-sided products, and the inner products beside them."""

import itertools

import numpy as np
import pytest

import curvblas as cb

import oracle
from cases import spd

DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1), (3, 50), (193, 7), (40, 33)]


def gradients(rng, shapes, dtype=np.float64):
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def sides(rng, grads, make):
    """Return lists of matrices of the columns and of the rows of the gradients."""
    return [make(rng, V.shape[1], V.dtype) for V in grads], [make(rng, V.shape[0], V.dtype) for V in grads]


class TestSmallProducts:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_every_shape_up_to_some_vectors(self, cpu, rng, dtype):
        """Every tail of vectors and of register blocks, against the oracle and one row at a time."""
        shapes = [*itertools.product([1, 2, 3, 5, 7, 8, 9, 13], range(1, 53)), (17, 100), (100, 17)]
        grads = gradients(rng, shapes, dtype)
        A, G = sides(rng, grads, lambda rng, n, dtype: rng.standard_normal((n, n)).astype(dtype))

        products = cpu.precondition(grads, A, G)

        for V, A_inv, G_inv, P in zip(grads, A, G, products, strict=True):
            assert oracle.relative_error(P, oracle.precondition(V, A_inv, G_inv)) < oracle.tolerance(dtype, 10)

    @pytest.mark.parametrize("shape", [(1200, 40), (40, 1200), (500, 700), (700, 500)])
    def test_gradients_that_are_split(self, cpu, rng, shape):
        V, A, G = rng.standard_normal(shape), *(rng.standard_normal((n, n)) for n in shape[::-1])
        expected = oracle.precondition(V, A, G)

        for given in [(V, A, G), (V.T.copy().T, A.T.copy().T, G.T.copy().T)]:
            assert oracle.relative_error(cpu.precondition(*given), expected) < oracle.tolerance(np.float64)

    def test_nothing_is_written_beyond_the_product(self, cpu, rng):
        for m, n in itertools.product([1, 5, 9], range(1, 40)):
            V, A, G = rng.standard_normal((m, n)), rng.standard_normal((n, n)), rng.standard_normal((m, m))
            room = np.full((m + 2, n + 2), 7.0)

            cpu.precondition(V, A, G, out=room[1:-1, 1:-1])

            border = np.ones(room.shape, bool)
            border[1:-1, 1:-1] = False
            assert (room[border] == 7).all()


class TestInner:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_is_the_sum_over_the_elements(self, backend, rng, dtype):
        grads = gradients(rng, SHAPES, dtype)
        A, G = sides(rng, grads, spd)

        result = backend.precondition_with_inner(grads, A, G)

        exact = [np.sum(np.float64(V) * np.float64(P)) for V, P in zip(grads, result.product, strict=True)]
        assert np.allclose(result.inner, exact, rtol=1e-12)
        assert (result.inner > 0).all()
        assert result.inner.dtype == np.float64

    def test_the_product_is_that_of_precondition(self, backend, rng):
        grads = gradients(rng, SHAPES, np.float32)
        A, G = sides(rng, grads, spd)

        result = backend.precondition_with_inner(grads, A, G)

        for P, expected in zip(result.product, backend.precondition(grads, A, G), strict=True):
            assert np.array_equal(P, expected)

    def test_has_the_same_bits_for_any_number_of_threads_and_alone(self, cpu, rng):
        grads = gradients(rng, [(900, 300), (5, 4), (64, 64), (20, 1000)], np.float32)
        A, G = sides(rng, grads, spd)
        inners = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            inners.append(cpu.precondition_with_inner(grads, A, G).inner)
        alone = [cpu.precondition_with_inner(*given).inner for given in zip(grads, A, G, strict=True)]

        assert all(np.array_equal(inner, alone) for inner in inners)

    def test_forms_and_empty_gradients(self, backend, rng):
        stack = rng.standard_normal((2, 3, 4, 5))
        one = backend.precondition_with_inner(
            stack, np.broadcast_to(np.eye(5), (2, 3, 5, 5)).copy(), np.zeros((2, 3, 4, 4))
        )

        assert one.inner.shape == (2, 3)
        assert np.array_equal(one.inner, np.zeros((2, 3)))
        assert backend.precondition_with_inner(np.zeros((0, 3)), np.eye(3), np.zeros((0, 0))).inner == 0
        assert backend.precondition_with_inner([], [], []).inner.shape == (0,)

    def test_nan_stays_within_its_matrix(self, backend, rng):
        grads = gradients(rng, [(3, 4)] * 3)
        grads[1][0, 0] = np.nan
        A, G = sides(rng, grads, spd)

        result = backend.precondition_with_inner(grads, A, G)

        assert np.array_equal(np.isnan(result.inner), [False, True, False])

    def test_a_clipped_step_has_the_length_that_was_asked_for(self, backend, rng):
        grads = gradients(rng, SHAPES)
        A, G = sides(rng, grads, spd)
        inverses = [[np.linalg.inv(C) for C in group] for group in (A, G)]
        lr, c = 0.1, 1e-3

        result = backend.precondition_with_inner(grads, *inverses)
        nu = min(1.0, np.sqrt(c / (lr**2 * result.inner.sum())))

        steps = [lr * nu * P for P in result.product]
        quadratic = sum(np.sum(d * (y @ d @ x)) for d, x, y in zip(steps, A, G, strict=True))
        assert nu < 1
        assert np.isclose(quadratic, c)
