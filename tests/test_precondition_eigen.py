"""Solves in eigenbases: eigenvalues or second moments, damping and what is singular, one bad matrix."""

import itertools

import numpy as np
import pytest

import curvblas as cb

import oracle
from cases import spd

DTYPES = [np.float32, np.float64]


def problem(rng, shapes, dtype=np.float64):
    """Return gradients, and lists of factors of their columns and of their rows."""
    grads = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    return grads, [spd(rng, n, dtype) for _, n in shapes], [spd(rng, m, dtype) for m, _ in shapes]


def basis(C):
    """Return the eigenbasis of a matrix, or of a list of them, whatever backend it is for."""
    if isinstance(C, list):
        parts = [basis(x) for x in C]
        return cb.Eigenbasis([b.values for b in parts], [b.vectors for b in parts], np.zeros(len(C)), np.zeros(len(C)))
    values, vectors = np.linalg.eigh(C.astype(np.float64))
    return cb.Eigenbasis(values.astype(C.dtype), vectors.astype(C.dtype), np.int8(0), np.float64(0))


class TestEigen:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("damping", [1e-2, 1.0])
    def test_solves_with_the_dense_damped_product(self, backend, rng, dtype, damping):
        grads, A, G = problem(rng, [(1, 1), (3, 7), (20, 9)], dtype)

        steps = backend.precondition_eigen(grads, basis(A), basis(G), damping)

        for V, x, y, step in zip(grads, A, G, steps, strict=True):
            assert oracle.relative_error(step, oracle.precondition_eigen(V, x, y, damping)) < oracle.tolerance(
                dtype, 1e2
            )

    def test_without_damping_it_is_the_product_of_the_inverses(self, backend, rng):
        V, A, G = rng.standard_normal((6, 4)), spd(rng, 4, np.float64), spd(rng, 6, np.float64)

        step = backend.precondition_eigen(V, basis(A), basis(G), 0.0)

        assert np.allclose(step, np.linalg.inv(G) @ V @ np.linalg.inv(A))

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_without_damping_singular_factors_are_pseudo_inverted(self, backend, rng, dtype):
        x, y = (rng.standard_normal((2, n)).astype(dtype) for n in (9, 6))
        A, G, V = x.T @ x, y.T @ y, rng.standard_normal((6, 9)).astype(dtype)

        step = backend.precondition_eigen(V, basis(A), basis(G), 0.0)

        expected = np.linalg.pinv(np.float64(G), rcond=1e-5) @ V @ np.linalg.pinv(np.float64(A), rcond=1e-5)
        assert oracle.relative_error(step, expected) < (1e-3 if dtype == np.float32 else 1e-10)

    def test_the_smallest_damping_above_zero_cuts_nothing(self, backend):
        A = basis(np.diag([1.0, 0.0]))

        step = backend.precondition_eigen(np.ones((1, 2)), A, basis(np.eye(1)), 1e-30)

        assert np.allclose(step, [[1.0, 1e30]])

    @pytest.mark.parametrize("damping", [0.0, 0.1])
    def test_zero_gradients_and_zero_curvature_give_zero(self, backend, rng, damping):
        A, G = np.zeros((3, 3)), spd(rng, 2, np.float64)

        assert np.array_equal(
            backend.precondition_eigen(np.zeros((2, 3)), basis(A), basis(G), damping), np.zeros((2, 3))
        )
        step = backend.precondition_eigen(np.ones((2, 3)), basis(A), basis(G), damping)
        assert np.allclose(step, 10 if damping else 0)

    def test_negative_eigenvalues_count_as_zero_each(self, backend):
        """The product of two of them would be positive."""
        A, G = basis(np.diag([-1.0, 1.0])), basis(np.diag([-1.0, 1.0]))

        step = backend.precondition_eigen(np.ones((2, 2)), A, G, 0.5)

        assert np.allclose(step, [[2, 2], [2, 1 / 1.5]])

    @pytest.mark.parametrize("scale", [1e30, 1e-30])
    def test_products_beyond_float32_are_in_float64(self, backend, rng, scale):
        V = rng.standard_normal((3, 4)).astype(np.float32) * np.float32(scale)
        A, G = (
            basis(np.eye(4, dtype=np.float32) * np.float32(scale)),
            basis(np.eye(3, dtype=np.float32) * np.float32(scale)),
        )
        curvature = float(np.float32(scale)) ** 2

        step = backend.precondition_eigen(V, A, G, curvature)

        assert np.allclose(step, np.float64(V) / (2 * curvature), rtol=1e-5)

    def test_denormal_gradients_and_curvatures(self, backend, rng):
        V = (1e-40 * rng.standard_normal((3, 4))).astype(np.float32)
        A, G = (
            basis(np.float32(1e-20) * np.eye(4, dtype=np.float32)),
            basis(np.float32(1e-20) * np.eye(3, dtype=np.float32)),
        )

        step = backend.precondition_eigen(V, A, G, 1e-40)

        assert np.allclose(step, V / 2e-40, rtol=1e-3)

    def test_second_moments_take_the_place_of_the_eigenvalues(self, backend, rng):
        V, A, G = rng.standard_normal((6, 4)), basis(spd(rng, 4, np.float64)), basis(spd(rng, 6, np.float64))
        S = np.outer(G.values, A.values)
        expected = backend.precondition_eigen(V, A, G, 0.1)

        for given in [(A, G), (A.vectors, G.vectors), (A, G.vectors)]:
            assert np.allclose(backend.precondition_eigen(V, *given, 0.1, second_moments=S), expected)

    @pytest.mark.parametrize("measured", [False, True])
    def test_a_bad_entry_of_a_damping_array_is_nan_in_its_matrix(self, backend, rng, measured):
        grads, A, G = problem(rng, [(3, 4)] * 4)
        S = [np.ones((3, 4))] * 4 if measured else None

        steps = backend.precondition_eigen(
            grads, basis(A), basis(G), np.array([0.1, -1, np.nan, np.inf]), second_moments=S
        )

        assert [np.isnan(x).all() for x in steps] == [False, True, True, True]

    @pytest.mark.parametrize("damping", [0.0, 0.1])
    @pytest.mark.parametrize("where", ["grads", "vectors", "values", "moments"])
    def test_nan_makes_its_whole_matrix_nan_and_no_other(self, backend, rng, where, damping):
        grads, *factors = problem(rng, [(3, 4)] * 3)
        A, G = map(basis, factors)
        S = [np.ones((3, 4)) for _ in grads] if where == "moments" else None
        {"grads": grads, "vectors": A.vectors, "values": G.values, "moments": S}[where][1].flat[1] = np.nan

        steps = backend.precondition_eigen(grads, A, G, damping, second_moments=S)

        assert [np.isnan(x).all() for x in steps] == [False, True, False]
        assert np.isfinite(steps[0]).all()

    @pytest.mark.parametrize("shape", [(900, 300), (20, 1000)])
    def test_split_gradients_have_the_same_bits_for_any_number_of_threads(self, cpu, rng, shape):
        V = rng.standard_normal(shape).astype(np.float32)
        A, G = (basis(spd(rng, n, np.float32)) for n in shape[::-1])
        steps = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            steps.append(cpu.precondition_eigen(V, A, G, 0.1))

        assert all(np.array_equal(steps[0], step) for step in steps)
        rotated = np.float64(G.vectors).T @ V @ A.vectors / (np.outer(G.values, A.values) + 0.1)
        assert oracle.relative_error(steps[0], np.float64(G.vectors) @ rotated @ A.vectors.T) < 1e-5

    def test_stacks_and_empty_gradients(self, backend, rng):
        grads = rng.standard_normal((2, 3, 4, 5))
        parts = [[basis(spd(rng, n, np.float64)) for _ in range(6)] for n in (5, 4)]
        A, G = (
            cb.Eigenbasis(
                np.stack([b.values for b in group]).reshape(2, 3, -1),
                np.stack([b.vectors for b in group]).reshape(2, 3, n, n),
                np.zeros((2, 3)),
                np.zeros((2, 3)),
            )
            for group, n in zip(parts, (5, 4), strict=True)
        )
        damping = rng.random((2, 3))

        steps = backend.precondition_eigen(grads, A, G, damping)

        for k, (i, j) in enumerate(itertools.product(range(2), range(3))):
            alone = backend.precondition_eigen(grads[i, j], parts[0][k], parts[1][k], damping[i, j])
            assert np.array_equal(steps[i, j], alone)
        for m, n in [(0, 3), (3, 0), (0, 0)]:
            empty = backend.precondition_eigen(np.zeros((m, n)), basis(np.eye(n)), basis(np.eye(m)), 0.1)
            assert empty.shape == (m, n)
        assert backend.precondition_eigen([], basis([]), basis([]), 0.1) == []

    def test_strided_eigenvalues(self, backend, rng):
        V, A, G = rng.standard_normal((3, 4)), basis(spd(rng, 4, np.float64)), basis(spd(rng, 3, np.float64))
        strided = cb.Eigenbasis(np.repeat(A.values[::-1], 2)[::-2], A.vectors, A.status, A.residual)

        assert np.array_equal(backend.precondition_eigen(V, strided, G, 0.1), backend.precondition_eigen(V, A, G, 0.1))


class TestEigenArguments:
    def test_needs_eigenvalues_or_moments(self):
        with pytest.raises(TypeError, match="A_basis must be an Eigenbasis, or second_moments be given, got ndarray"):
            cb.precondition_eigen(np.ones((2, 2)), np.eye(2), np.eye(2), 0.1)

    def test_names_what_does_not_fit(self):
        good = basis(np.eye(2))

        with pytest.raises(ValueError, match=r"G_basis must have shape \(m, m\) = \(3, 3\) .*got \(2, 2\)"):
            cb.precondition_eigen(np.ones((3, 2)), good, good, 0.1)
        with pytest.raises(ValueError, match=r"A_basis.values must have shape \(2,\) .*got \(3,\)"):
            cb.precondition_eigen(
                np.ones((2, 2)), cb.Eigenbasis(np.ones(3), np.eye(2), np.int8(0), 0.0), good, damping=0.1
            )
        with pytest.raises(ValueError, match=r"second_moments must have shape \(2, 2\) like grads, got \(2, 3\)"):
            cb.precondition_eigen(np.ones((2, 2)), good, good, 0.1, second_moments=np.ones((2, 3)))
        with pytest.raises(TypeError, match=r"A_basis must be float64 like grads, got float32"):
            cb.precondition_eigen(np.ones((2, 2)), basis(np.eye(2, dtype=np.float32)), good, 0.1)
        with pytest.raises(ValueError, match=r"damping must be .*got -1"):
            cb.precondition_eigen(np.ones((2, 2)), good, good, -1.0)

    def test_refuses_an_output_that_is_read(self):
        V, good = np.ones((2, 2)), basis(np.eye(2))

        for out in (V, good.vectors):
            with pytest.raises(ValueError, match="share"):
                cb.precondition_eigen(V, good, good, 0.1, out=out)
