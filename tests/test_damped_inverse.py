"""Damped inverses: accuracy, every status, the ladder, what is promised never to happen."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from cases import spd


class TestDampedInverse:
    @pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 63, 64, 65, 130, 300])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_inverse_residual_and_log_det(self, backend, rng, n, dtype):
        C = spd(rng, n, dtype)

        result = backend.damped_inverse(C, 0.05)

        assert result.status == Status.OK
        assert result.ok
        assert result.jitter == 0
        assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, 0.05)) < oracle.tolerance(dtype, 100)
        assert np.array_equal(result.inverse, result.inverse.T)
        assert np.isclose(
            result.log_det,
            oracle.log_det(C, 0.05),
            rtol=oracle.tolerance(dtype),
            atol=oracle.tolerance(dtype),
        )
        norms = np.linalg.norm(oracle.symmetric(C)) * np.linalg.norm(np.float64(result.inverse))
        assert result.residual <= np.sqrt(n) * oracle.residual(C, 0.05, result.inverse) + np.finfo(dtype).eps * (
            1 + norms
        )

    @pytest.mark.parametrize("n", [20, 200, 300])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_out_may_lie_in_memory_in_any_way(self, cpu, rng, dtype, n):
        C = spd(rng, n, dtype)
        expected = cpu.damped_inverse(C, 0.1).inverse

        for out in (
            np.empty((n, n), dtype)[::-1],
            np.empty((n, n), dtype)[:, ::-1],
            np.empty((n, n), dtype).T,
            np.empty((2 * n, n), dtype)[::2],
        ):
            assert cpu.damped_inverse(C, 0.1, out=out).status == Status.OK
            assert np.array_equal(out, expected)

    def test_reads_only_the_lower_triangle(self, backend, rng):
        C = spd(rng, 70, np.float64)
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

        assert np.array_equal(backend.damped_inverse(spoiled, 0.1).inverse, backend.damped_inverse(C, 0.1).inverse)

    @pytest.mark.parametrize("n", [4, 40, 90])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_reports_the_failing_minor(self, backend, rng, n, dtype):
        C = spd(rng, n, dtype)
        C[n // 2, n // 2] = -1

        with pytest.raises(
            cb.NotPositiveDefiniteError,
            match=rf"factors\[1\] .* leading minor of order {n // 2 + 1} is not positive",
        ) as error:
            backend.damped_inverse([np.eye(3, dtype=dtype), C], 0.0, on_failure="raise")

        assert (error.value.index, error.value.minor) == (1, n // 2 + 1)
        assert isinstance(error.value, np.linalg.LinAlgError)

    @pytest.mark.parametrize("n", [4, 90])
    def test_raise_also_names_nan(self, backend, n):
        C = np.eye(n)
        C[2, 1] = np.inf

        with pytest.raises(
            cb.NotPositiveDefiniteError, match="factors plus damping holds NaN or Inf, first in row 2"
        ) as error:
            backend.damped_inverse(C, 0.0, on_failure="raise")

        assert (error.value.index, error.value.minor) == (0, 3)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("n", [5, 33, 64, 80])
    def test_statuses_of_bad_matrices_and_untouched_neighbours(self, backend, rng, dtype, n):
        good = spd(rng, n, dtype)
        nan, inf, zero, negative = good.copy(), good.copy(), np.zeros_like(good), -good
        nan[n - 1, 0], inf[1, 1] = np.nan, -np.inf
        expected = backend.damped_inverse(good, 0.1)

        result = backend.damped_inverse(
            [good, nan, good, inf, good, zero, negative, good], [0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.0, 0.1]
        )

        assert result.status.tolist() == [0, 3, 0, 3, 0, 2, 2, 0]
        for k in (0, 2, 4, 7):
            assert np.array_equal(result.inverse[k], expected.inverse)
        for k in (1, 3, 5, 6):
            assert np.isnan(result.inverse[k]).all()
            assert np.isnan([result.jitter[k], result.residual[k], result.log_det[k]]).all()

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_a_bad_entry_of_a_damping_array_is_a_status(self, backend, bad):
        result = backend.damped_inverse(np.stack([np.eye(2)] * 3), np.array([1.0, bad, 0.0]))

        assert result.status.tolist() == [0, Status.INVALID_PARAMETER, 0]
        assert np.isnan(result.inverse[1]).all()
        assert np.allclose(result.inverse[[0, 2]], np.stack([np.eye(2) / 2, np.eye(2)]))

    @pytest.mark.parametrize("n", [6, 100])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_jitter_is_reported_and_is_what_was_added(self, backend, rng, n, dtype):
        C = np.diag(np.ones(n)).astype(dtype)
        C[0, 0] = -3e-5  # indefinite beyond rounding: needs a jitter between 3e-5 and 1e-2

        result = backend.damped_inverse(C, 0.0)

        first = max(4 * n * np.finfo(dtype).eps, 1e-8) * np.mean(np.abs(np.diag(C.astype(np.float64))))
        steps = np.log10(result.jitter / first)
        assert result.status == Status.JITTERED
        assert result.ok
        assert np.isclose(steps, round(float(steps)))
        assert 3e-5 < result.jitter <= 1e-2
        assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, float(result.jitter))) < 1e-3
        assert np.isclose(result.log_det, oracle.log_det(C, float(result.jitter)), rtol=1e-4)

    def test_float64_rescues_what_float32_cannot_factorise(self, backend, rng):
        rescued = 0
        for _ in range(20 if backend.name.startswith("cpu") else 4):
            v = 1 + rng.random(60)
            C = (np.outer(v, v) + 1e-7 * spd(rng, 60, np.float64)).astype(np.float32)
            damping = 1e-8 + max(0.0, -np.linalg.eigvalsh(oracle.symmetric(C)).min())
            kept = backend.damped_inverse(C, damping, on_failure="keep", out=np.zeros_like(C))

            result = backend.damped_inverse(C, damping)

            # Rounding to float32 may cost what float64 gained: status 6, and still the right inverse.
            assert result.jitter == 0
            assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, damping)) < 1e-6
            rescued += int(kept.status == Status.NOT_POSITIVE_DEFINITE)
        assert rescued > 0

    def test_statuses_5_and_6_do_not_raise(self, backend):
        result = backend.damped_inverse([np.eye(2)], np.array([-1.0]), on_failure="raise")

        overflow = backend.damped_inverse([np.eye(2) * 1e-309], 0.0, on_failure="raise")

        assert result.status.tolist() == [Status.INVALID_PARAMETER]
        assert overflow.status.tolist() == [Status.INACCURATE]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("n", [8, 40, 120])
    def test_never_ok_with_a_large_residual(self, backend, rng, dtype, n):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        for exponent in range(0, 19, 1):
            C = ((Q * np.logspace(0, -exponent, n)) @ Q.T).astype(dtype)

            result = backend.damped_inverse(C, 0.0)

            residual = oracle.residual(C, np.nan_to_num(float(result.jitter)), result.inverse)
            assert not result.ok or residual < 1e-2
            noise = np.finfo(np.float64).eps * np.linalg.norm(C) * np.linalg.norm(np.float64(result.inverse))
            assert not result.ok or residual < 1e-6 or 0.2 * residual < result.residual < 5 * residual + noise

    @pytest.mark.parametrize("n", [3, 70])
    @pytest.mark.parametrize(
        ("dtype", "size", "fits"),
        [
            (np.float64, 1e-290, True),
            (np.float64, 1e-170, True),
            (np.float64, 1e170, True),
            (np.float64, 1e290, True),
            (np.float64, 1e-309, False),
            (np.float32, 1e-30, True),
            (np.float32, 1e30, True),
            (np.float32, 1e-41, False),
        ],
    )
    def test_extreme_scales_are_solved_where_the_inverse_fits_the_dtype(self, backend, rng, dtype, size, fits, n):
        C = (spd(rng, n, np.float64) * size).astype(dtype)

        result = backend.damped_inverse(C, 0.0)

        assert result.ok == fits
        if fits:
            assert oracle.residual(C, 0.0, result.inverse) < 1e-2
        else:
            assert result.status == Status.INACCURATE
            assert np.isnan(result.inverse).all()

    def test_rank_one_with_damping(self, backend):
        v = np.arange(1.0, 51.0)

        result = backend.damped_inverse(np.outer(v, v), 0.5)

        assert result.status == Status.OK
        assert np.allclose(result.inverse, (np.eye(50) - np.outer(v, v) / (0.5 + v @ v)) / 0.5)

    @pytest.mark.parametrize("n", [3, 70])
    def test_keep_leaves_the_failed_matrices_of_out(self, backend, rng, n):
        good = spd(rng, n, np.float64)
        out = [np.full((n, n), 7.0) for _ in range(3)]

        result = backend.damped_inverse([good, -good, np.full((n, n), np.nan)], 0.1, on_failure="keep", out=out)

        assert result.inverse is out
        assert result.status.tolist() == [0, 2, 3]
        assert np.array_equal(out[0], backend.damped_inverse(good, 0.1).inverse)
        assert all((x == 7).all() for x in out[1:])

    def test_results_of_a_list_are_aligned(self, cpu, rng):
        result = cpu.damped_inverse([spd(rng, n, np.float32) for n in range(1, 30)], 0.1)

        assert all(x.ctypes.data % 64 == 0 for x in result.inverse)

    def test_the_result_is_frozen_and_not_an_array(self):
        result = cb.damped_inverse(np.eye(2), 0.1)

        with pytest.raises(AttributeError):
            result.status = 0
        for one_or_list in (lambda x: x, lambda x: [x]):
            with pytest.raises(TypeError, match=r"A_inv must be .* got InverseResult: pass its \.inverse"):
                cb.precondition(one_or_list(np.eye(2)), result, one_or_list(np.eye(2)))
        with pytest.raises(TypeError):
            iter(result)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"damping": -0.1}, ValueError, "damping must be a finite number >= 0, got -0.1"),
            ({"damping": float("nan")}, ValueError, "damping must be a finite number >= 0, got nan"),
            ({"damping": None}, TypeError, "damping must be .* got NoneType"),
            ({"on_failure": None}, TypeError, "on_failure must be a str, got NoneType"),
            (
                {"on_failure": "ignore"},
                ValueError,
                'on_failure must be "jitter", "keep" or "raise", got "ignore"',
            ),
            ({"on_failure": "keep"}, ValueError, 'out must be given with on_failure="keep"'),
            ({"method": "lu"}, ValueError, 'method must be "cholesky" or "newton", got \'lu\''),
            (
                {"out": np.zeros((2, 2))},
                ValueError,
                r"out must have the shape of factors \(3, 3\), got \(2, 2\)",
            ),
            (
                {"out": np.zeros((3, 3), np.float32)},
                TypeError,
                "out must be float64 like factors, got float32",
            ),
        ],
    )
    def test_bad_options_are_named(self, options, error, message):
        with pytest.raises(error, match=f"damped_inverse: {message}"):
            cb.damped_inverse(np.eye(3), **{"damping": 0.1, **options})
