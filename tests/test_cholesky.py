"""Cholesky factors and systems with them: accuracy, every status, the ladder, what is promised never to happen."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from cases import spd

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def backward_error(C, shift, L):
    """Return ||L L^T - (C + shift I)|| / ||C + shift I||."""
    shifted = oracle.symmetric(C) + shift * np.eye(len(C))
    size = np.abs(shifted).max() or 1.0  # so that the squares of a norm neither overflow nor vanish
    root = np.float64(L) / np.sqrt(size)
    return np.linalg.norm(root @ root.T - shifted / size) / np.linalg.norm(shifted / size)


class TestDampedCholesky:
    @pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 63, 64, 65, 130, 300])
    @DTYPES
    def test_factor_and_log_det(self, backend, rng, n, dtype):
        C = spd(rng, n, dtype)

        result = backend.damped_cholesky(C, 0.05)

        assert result.status == Status.OK
        assert result.ok
        assert result.jitter == 0
        assert np.array_equal(result.factor, np.tril(result.factor))
        assert oracle.relative_error(result.factor, oracle.damped_cholesky(C, 0.05)) < oracle.tolerance(dtype, 10)
        tolerance = oracle.tolerance(dtype)
        assert np.isclose(result.log_det, oracle.log_det(C, 0.05), rtol=tolerance, atol=tolerance)

    def test_reads_only_the_lower_triangle(self, backend, rng):
        C = spd(rng, 70, np.float64)
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

        assert np.array_equal(backend.damped_cholesky(spoiled, 0.1).factor, backend.damped_cholesky(C, 0.1).factor)

    @DTYPES
    @pytest.mark.parametrize("n", [5, 64, 80])
    def test_statuses_of_bad_matrices_and_untouched_neighbours(self, backend, rng, dtype, n):
        good = spd(rng, n, dtype)
        nan, inf, zero, negative = good.copy(), good.copy(), np.zeros_like(good), -good
        nan[n - 1, 0], inf[1, 1] = np.nan, -np.inf
        expected = backend.damped_cholesky(good, 0.1)

        result = backend.damped_cholesky(
            [good, nan, good, inf, good, zero, negative, good, zero], [0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.0, 0.1, 4.0]
        )

        assert result.status.tolist() == [0, 3, 0, 3, 0, 2, 2, 0, 0]
        for k in (0, 2, 4, 7):
            assert np.array_equal(result.factor[k], expected.factor)
        for k in (1, 3, 5, 6):
            assert np.isnan(result.factor[k]).all()
            assert np.isnan([result.jitter[k], result.log_det[k]]).all()
        assert np.array_equal(result.factor[8], 2 * np.eye(n))

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_a_bad_entry_of_a_damping_array_is_a_status(self, backend, bad):
        result = backend.damped_cholesky(np.stack([np.eye(2)] * 3), np.array([3.0, bad, 0.0]))

        assert result.status.tolist() == [0, Status.INVALID_PARAMETER, 0]
        assert np.isnan(result.factor[1]).all()
        assert np.array_equal(result.factor[[0, 2]], np.stack([2 * np.eye(2), np.eye(2)]))

    @pytest.mark.parametrize("n", [4, 40, 90])
    @DTYPES
    def test_reports_the_failing_minor(self, backend, rng, n, dtype):
        C = spd(rng, n, dtype)
        C[n // 2, n // 2] = -1

        expected = rf"damped_cholesky: factors\[1\] .* leading minor of order {n // 2 + 1} is not positive"
        with pytest.raises(cb.NotPositiveDefiniteError, match=expected) as error:
            backend.damped_cholesky([np.eye(3, dtype=dtype), C], 0.0, on_failure="raise")

        assert (error.value.index, error.value.minor) == (1, n // 2 + 1)

    @pytest.mark.parametrize("n", [6, 100])
    @DTYPES
    def test_jitter_is_that_of_damped_inverse_and_is_what_was_added(self, backend, n, dtype):
        C = np.diag(np.ones(n)).astype(dtype)
        C[0, 0] = -3e-5  # indefinite beyond rounding: needs a jitter between 3e-5 and 1e-2

        result = backend.damped_cholesky(C, 0.0)

        assert result.status == Status.JITTERED
        assert result.jitter == backend.damped_inverse(C, 0.0).jitter
        assert backward_error(C, float(result.jitter), result.factor) < oracle.tolerance(dtype)
        assert np.isclose(result.log_det, oracle.log_det(C, float(result.jitter)), rtol=1e-6)

    @pytest.mark.parametrize("n", [40, 90])
    def test_float64_finds_the_log_det_of_an_ill_conditioned_float32_matrix(self, backend, rng, n):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        C = ((Q * np.logspace(0, -5, n)) @ Q.T).astype(np.float32)

        result = backend.damped_cholesky(C, 1e-6)

        assert result.status == Status.OK
        assert np.isclose(result.log_det, oracle.log_det(C, 1e-6), rtol=1e-5)

    @DTYPES
    @pytest.mark.parametrize("n", [8, 70])
    def test_never_ok_with_a_large_error(self, backend, rng, dtype, n):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        for exponent in range(0, 19, 3):
            C = ((Q * np.logspace(0, -exponent, n)) @ Q.T).astype(dtype)

            result = backend.damped_cholesky(C, 0.0)

            assert result.ok
            assert backward_error(C, float(result.jitter), result.factor) < oracle.tolerance(dtype)

    @pytest.mark.parametrize("n", [3, 70])
    @pytest.mark.parametrize(
        ("dtype", "size"),
        [
            (np.float64, 5e-309),
            (np.float64, 1e-290),
            (np.float64, 1e290),
            (np.float64, 2e307),
            (np.float32, 1e-40),
            (np.float32, 1e-30),
            (np.float32, 1e30),
            (np.float32, 5e37),
        ],
    )
    def test_extreme_scales(self, backend, rng, dtype, size, n):
        C = (spd(rng, n, np.float64) * size).astype(dtype)

        result = backend.damped_cholesky(C, 0.0)

        assert result.status == Status.OK
        assert backward_error(C, 0.0, result.factor) < oracle.tolerance(dtype)

    def test_rank_one_with_damping(self, backend):
        v = np.arange(1.0, 51.0)

        result = backend.damped_cholesky(np.outer(v, v), 0.5)

        assert result.status == Status.OK
        assert np.isclose(result.log_det, np.log(0.5 + v @ v) + 49 * np.log(0.5))

    def test_a_factor_that_does_not_fit_the_dtype_is_inaccurate(self, backend):
        result = backend.damped_cholesky(np.diag([1.0, 0.0]).astype(np.float32), 1e-200)

        assert result.status in (Status.INACCURATE, Status.JITTERED)

    @pytest.mark.parametrize("n", [3, 70])
    def test_keep_leaves_the_failed_matrices_of_out(self, backend, rng, n):
        good = spd(rng, n, np.float64)
        out = [np.full((n, n), 7.0) for _ in range(3)]

        result = backend.damped_cholesky([good, -good, np.full((n, n), np.nan)], 0.1, on_failure="keep", out=out)

        assert result.factor is out
        assert result.status.tolist() == [0, 2, 3]
        assert np.array_equal(out[0], backend.damped_cholesky(good, 0.1).factor)
        assert all((x == 7).all() for x in out[1:])

    @DTYPES
    def test_a_large_matrix(self, backend, rng, dtype):
        C = spd(rng, 520, dtype)

        result = backend.damped_cholesky(C, 0.01)

        assert result.status == Status.OK
        assert backward_error(C, 0.01, result.factor) < oracle.tolerance(dtype)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"damping": -0.1}, ValueError, "damping must be a finite number >= 0, got -0.1"),
            ({"damping": None}, TypeError, "damping must be .* got NoneType"),
            ({"on_failure": "ignore"}, ValueError, 'on_failure must be "jitter", "keep" or "raise", got "ignore"'),
            ({"on_failure": "keep"}, ValueError, 'out must be given with on_failure="keep"'),
            ({"out": np.zeros((2, 2))}, ValueError, r"out must have the shape of factors \(3, 3\), got \(2, 2\)"),
        ],
    )
    def test_bad_options_are_named(self, options, error, message):
        with pytest.raises(error, match=f"damped_cholesky: {message}"):
            cb.damped_cholesky(np.eye(3), **{"damping": 0.1, **options})


class TestSolves:
    @pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 0), (5, 1), (31, 7), (64, 33), (100, 1), (130, 70)])
    @DTYPES
    def test_solutions(self, backend, rng, n, k, dtype):
        L, B = oracle.damped_cholesky(spd(rng, n, dtype), 0.1).astype(dtype), rng.standard_normal((n, k)).astype(dtype)

        results = [
            (backend.triangular_solve(L, B), oracle.triangular_solve(L, B)),
            (backend.triangular_solve(L, B, transpose=True), oracle.triangular_solve(L, B, transpose=True)),
            (backend.cholesky_solve(L, B), oracle.cholesky_solve(L, B)),
        ]

        assert all(oracle.relative_error(x, expected) < oracle.tolerance(dtype, 100) for x, expected in results)

    @pytest.mark.parametrize("n", [5, 70])
    def test_triangles_stored_by_columns(self, backend, rng, n):
        L, B = oracle.damped_cholesky(spd(rng, n, np.float64), 0.1), rng.standard_normal((n, 4))
        by_columns = np.asfortranarray(L)

        for transpose in (False, True):
            solution = backend.triangular_solve(by_columns, B, transpose=transpose)
            assert np.allclose(solution, oracle.triangular_solve(L, B, transpose=transpose), rtol=1e-10, atol=1e-10)

    def test_many_right_hand_sides_are_shared_by_threads(self, cpu, rng):
        L, B = oracle.damped_cholesky(spd(rng, 300, np.float64), 0.1), rng.standard_normal((300, 900))

        results = []
        for threads in (1, 2, 7):
            cb.set_num_threads(threads)
            results.append(cpu.cholesky_solve(L, B))

        assert oracle.relative_error(results[0], oracle.cholesky_solve(L, B)) < oracle.tolerance(np.float64, 100)
        assert all(np.array_equal(results[0], other) for other in results[1:])

    def test_a_failed_factor_gives_a_nan_solution(self, backend):
        L = backend.damped_cholesky([np.eye(3), -np.eye(3)], 0.0).factor

        X = backend.cholesky_solve(L, [np.ones((3, 1))] * 2)

        assert np.array_equal(X[0], np.ones((3, 1)))
        assert np.isnan(X[1]).all()

    def test_solves_what_damped_inverse_inverts(self, backend, rng):
        C, B = spd(rng, 40, np.float64), rng.standard_normal((40, 3))

        X = backend.cholesky_solve(backend.damped_cholesky(C, 0.1).factor, B)

        assert np.allclose(X, backend.damped_inverse(C, 0.1).inverse @ B)

    def test_bad_arguments_are_named(self):
        with pytest.raises(TypeError, match="triangular_solve: transpose must be True or False, got int"):
            cb.triangular_solve(np.eye(2), np.ones((2, 1)), transpose=1)
        with pytest.raises(ValueError, match=r"cholesky_solve: rhs must have shape .* with n = 2 .*, got \(2,\)"):
            cb.cholesky_solve(np.eye(2), np.ones(2))
        with pytest.raises(TypeError, match=r"factors must be .*got CholeskyResult"):
            cb.cholesky_solve(cb.damped_cholesky(np.eye(2), 0.0), np.ones((2, 1)))
