"""Sums and differences of Kronecker products: dense systems, block-tridiagonal K-FAC, and bad input."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from cases import spd


def problem(rng, q, p, dtype=np.float64, size=0.3):
    """Return A, B, C, D, Z with a difference that is positive definite."""
    A, B = spd(rng, p, np.float64), spd(rng, q, np.float64)
    halves = [np.linalg.cholesky(M) for M in (A, B)]
    C, D = (
        size * L @ (S / np.linalg.norm(S, 2)) @ L.T
        for L, S in zip(halves, (spd(rng, p, np.float64), spd(rng, q, np.float64)), strict=True)
    )
    return [x.astype(dtype) for x in (A, B, C, D, rng.standard_normal((q, p)))]


def dense(A, B, C, D, sign):
    return np.kron(np.float64(B), np.float64(A)) + sign * np.kron(np.float64(D), np.float64(C))


@pytest.mark.parametrize("sign", [1, -1])
class TestSolution:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_solves_the_dense_system(self, backend, rng, sign, dtype):
        problems = [problem(rng, q, p, dtype) for q, p in [(1, 1), (3, 4), (12, 5), (2, 20)]]

        result = backend.kron_sum_solve(*[list(x) for x in zip(*problems, strict=True)], sign=sign)

        assert np.array_equal(result.status, [Status.OK] * 4)
        for X, given in zip(result.solution, problems, strict=True):
            expected = np.linalg.solve(dense(*given[:4], sign), np.float64(given[4]).ravel())
            assert oracle.relative_error(X.ravel(), expected) < oracle.tolerance(dtype, 1e3)
        assert (result.residual < oracle.tolerance(dtype, 1e2)).all()

    def test_a_stack_is_its_problems(self, backend, rng, sign):
        problems = [problem(rng, 4, 6) for _ in range(3)]

        stacked = backend.kron_sum_solve(*[np.stack(x) for x in zip(*problems, strict=True)], sign=sign)

        for k, given in enumerate(problems):
            alone = backend.kron_sum_solve(*given, sign=sign)
            assert np.array_equal(stacked.solution[k], alone.solution)
            assert stacked.residual[k] == alone.residual
            assert stacked.status[k] == alone.status == Status.OK

    @pytest.mark.parametrize("scale", [1e-30, 1e12, 1e30])
    def test_scales(self, backend, rng, sign, scale):
        A, B, C, D, Z = problem(rng, 3, 4, np.float32)
        expected = backend.kron_sum_solve(A, B, C, D, Z, sign=sign).solution

        result = backend.kron_sum_solve(
            A * np.float32(scale), B, C * np.float32(scale), D, Z * np.float32(scale), sign=sign
        )

        assert result.status == Status.OK
        assert np.allclose(result.solution, expected, rtol=1e-3)

    def test_zeros(self, backend, rng, sign):
        A, B, C, D, Z = problem(rng, 3, 4)

        result = backend.kron_sum_solve(A, B, C, D, 0 * Z, sign=sign)
        plain = backend.kron_sum_solve(A, B, 0 * C, D, Z, sign=sign)

        assert np.array_equal(result.solution, 0 * Z)
        assert (result.status, result.residual) == (Status.OK, 0)
        assert np.allclose(plain.solution, np.linalg.inv(B) @ Z @ np.linalg.inv(A))

    @pytest.mark.parametrize(("q", "p"), [(0, 3), (3, 0), (0, 0)])
    def test_empty_problems(self, backend, sign, q, p):
        result = backend.kron_sum_solve(
            np.eye(p), np.eye(q), np.zeros((p, p)), np.zeros((q, q)), np.zeros((q, p)), sign=sign
        )

        assert result.solution.shape == (q, p)
        assert (result.status, result.residual) == (Status.OK, 0)

    def test_an_empty_group(self, backend, sign):
        assert backend.kron_sum_solve([], [], [], [], [], sign=sign).solution == []


class TestFailures:
    @pytest.mark.parametrize("which", range(5))
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_nan_and_inf_stay_within_their_problem(self, backend, rng, which, bad):
        problems = [problem(rng, 3, 4) for _ in range(3)]
        problems[1][which][0, 0] = bad
        expected = backend.kron_sum_solve(*problems[2], sign=-1).solution

        result = backend.kron_sum_solve(*[list(x) for x in zip(*problems, strict=True)], sign=-1)

        assert np.array_equal(result.status, [Status.OK, Status.NOT_FINITE, Status.OK])
        assert np.isnan(result.solution[1]).all()
        assert np.isnan(result.residual[1])
        assert np.array_equal(result.solution[2], expected)

    @pytest.mark.parametrize("which", [0, 1])
    def test_factors_that_are_not_positive_definite(self, backend, rng, which):
        for bad in (-1.0, 0.0):
            given = problem(rng, 3, 4)
            given[which] *= bad

            result = backend.kron_sum_solve(*given, sign=1)

            assert result.status == Status.NOT_POSITIVE_DEFINITE
            assert np.isnan(result.solution).all()

    def test_a_difference_that_is_not_positive_definite_is_inaccurate(self, backend, rng):
        A, B, _, _, Z = problem(rng, 3, 4)

        result = backend.kron_sum_solve(A, B, 2 * A, B, Z, sign=-1)

        assert result.status == Status.INACCURATE
        assert result.residual > 0.5
        assert not result.ok

    def test_what_float32_cannot_solve_is_never_ok_with_a_large_residual(self, backend, rng):
        values = np.logspace(0, -12, 6)
        Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        A = ((Q * values) @ Q.T).astype(np.float32)
        A = (A + A.T) / 2
        B, C, D, Z = (x.astype(np.float32) for x in (np.eye(3), 0.1 * A, np.eye(3), rng.standard_normal((3, 6))))

        result = backend.kron_sum_solve(A, B, C, D, Z, sign=1)

        if result.status == Status.OK:
            X = np.float64(result.solution)
            true = np.linalg.norm(X @ A + X @ C - Z) / np.linalg.norm(Z)
            assert true < 1e-2


class TestMathematics:
    def test_it_inverts_the_block_tridiagonal_conditional_covariance(self, cpu, rng):
        """Sigma of methods section 4.3: F_11 - Psi F_22 Psi^T, a Kronecker product less a Kronecker product."""
        a, g = rng.standard_normal((200, 5)), rng.standard_normal((200, 7))
        A_all, G_all = a.T @ a / 200 + 0.1 * np.eye(5), g.T @ g / 200 + 0.1 * np.eye(7)
        A11, A12, A22 = A_all[:3, :3], A_all[:3, 3:], A_all[3:, 3:]
        G11, G12, G22 = G_all[:4, :4], G_all[:4, 4:], G_all[4:, 4:]
        V = rng.standard_normal((4, 3))
        psi = np.kron(G12 @ np.linalg.inv(G22), A12 @ np.linalg.inv(A22))
        sigma = np.kron(G11, A11) - psi @ np.kron(G22, A22) @ psi.T

        C, D = A12 @ np.linalg.inv(A22) @ A12.T, G12 @ np.linalg.inv(G22) @ G12.T
        result = cpu.kron_sum_solve(A11, G11, C, D, V, sign=-1)

        assert np.allclose(result.solution.ravel(), np.linalg.solve(sigma, V.ravel()))

    def test_the_same_bits_for_any_number_of_threads(self, cpu, rng):
        problems = [problem(rng, q, p, np.float32) for q, p in [(40, 90), (3, 4), (33, 65)]]
        given = [list(x) for x in zip(*problems, strict=True)]
        results = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            results.append(cpu.kron_sum_solve(*given, sign=-1))

        for other in results[1:]:
            assert all(np.array_equal(x, y) for x, y in zip(results[0].solution, other.solution, strict=True))
            assert np.array_equal(results[0].residual, other.residual)


class TestArguments:
    def test_are_named(self, rng):
        A, B, C, D, Z = problem(rng, 3, 4)

        for sign in (0, 2, True, "+", None):
            with pytest.raises(ValueError, match="kron_sum_solve: sign must be 1 or -1, got"):
                cb.kron_sum_solve(A, B, C, D, Z, sign=sign)
        with pytest.raises(
            ValueError, match=r"kron_sum_solve: D must have shape \(m, m\) = \(3, 3\) for Z .*got \(4, 4\)"
        ):
            cb.kron_sum_solve(A, B, C, A, Z, sign=1)
        with pytest.raises(TypeError, match="kron_sum_solve: C must be float64 like Z, got float32"):
            cb.kron_sum_solve(A, B, C.astype(np.float32), D, Z, sign=1)
        with pytest.raises(ValueError, match="share"):
            cb.kron_sum_solve(A, B, C, D, Z, sign=1, out=Z)

    def test_out_receives_the_solutions_and_inputs_stay(self, backend, rng):
        given = problem(rng, 3, 4)
        before, out = [x.copy() for x in given], np.zeros((4, 3)).T

        result = backend.kron_sum_solve(*given, sign=1, out=out)

        assert result.solution is out
        assert np.allclose(dense(*given[:4], 1) @ out.ravel(), given[4].ravel())
        assert all(np.array_equal(x, y) for x, y in zip(before, given, strict=True))
