"""Products of few long rows, and low-rank systems, beyond what holds for every kernel."""

import numpy as np
import pytest

import curvblas as cb

import oracle


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n"), [(1, 700_003), (8, 300_001), (9, 200_000), (32, 100_000), (40, 30_000)])
class TestLongRows:
    def test_are_multiplied_in_pieces(self, cpu, rng, m, n, dtype):
        rows, vectors = (rng.standard_normal((k, n)).astype(dtype) for k in (m, 3))

        squares, products = cpu.gram_products(rows, vectors.T)

        bound = oracle.tolerance(dtype, condition=1)
        assert oracle.relative_error(squares, oracle.gram(rows)) < bound
        assert np.abs(products - np.float64(rows) @ np.float64(vectors).T).max() < bound * np.sqrt(m) * n
        assert np.array_equal(squares, squares.T)

    def test_give_the_same_bits_for_any_number_of_threads(self, cpu, rng, m, n, dtype):
        rows, vector = rng.standard_normal((m, n)).astype(dtype), rng.standard_normal(n).astype(dtype)
        found = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            found.append(np.column_stack(cpu.gram_products(rows, vector)))

        assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_products_of_few_float32_rows_neither_vanish_nor_overflow(backend, rng, size):
    rows = (size * rng.standard_normal((3, 50))).astype(np.float32)

    assert np.allclose(backend.gram(rows) / size**2, oracle.gram(np.float64(rows) / size), rtol=1e-12)


class TestLowRankSolve:
    def test_without_values_divides_by_damping(self, backend, rng):
        basis, g = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((9, 3)))[0].T), rng.standard_normal(9)

        assert np.allclose(backend.low_rank_solve(basis, np.zeros(3), 0.5, g), 2 * g, rtol=1e-14)

    def test_a_bad_damping_of_an_array_stays_with_its_matrix(self, backend, rng):
        basis = np.stack([np.linalg.qr(rng.standard_normal((7, 2)))[0].T] * 3)
        given = [basis, rng.random((3, 2)), np.array([1.0, 0.0, 1.0]), rng.standard_normal((3, 7))]

        found = backend.low_rank_solve(*given)

        assert np.isnan(found[1]).all()
        assert np.isfinite(found[::2]).all()

    def test_a_number_must_be_positive(self):
        with pytest.raises(ValueError, match="damping must be a finite number > 0, got 0"):
            cb.low_rank_solve(np.eye(2), np.ones(2), 0.0, np.ones(2))

    def test_a_list_holds_matrices(self):
        with pytest.raises(ValueError, match=r"basis\[0\] must have shape \(m, n\), got \(4, 1, 2\)"):
            cb.low_rank_solve([np.ones((4, 1, 2))], [np.ones((4, 1))], [1.0], [np.ones((4, 2))])
        with pytest.raises(ValueError, match=r"rows\[0\] must have shape \(m, n\), got \(2, 3, 4\)"):
            cb.gram([np.ones((2, 3, 4))])

    def test_shapes_are_named(self):
        with pytest.raises(ValueError, match=r"values must have shape \(..., 2\), one for each row of basis"):
            cb.low_rank_solve(np.eye(2), np.ones(3), 1.0, np.ones(2))
        with pytest.raises(ValueError, match=r"grads must have shape \(..., 2\) or \(..., s, 2\) for basis"):
            cb.low_rank_solve(np.eye(2), np.ones(2), 1.0, np.ones(3))
