"""The Kronecker kernels one by one: options, limits, statuses, identities."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curvblas as cb
from curvblas import Status

import oracle
from cases import spd

ROW_DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]


class TestUpdateFactors:
    @pytest.mark.parametrize("row_dtype", ROW_DTYPES)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("layout", ["C", "F", "reversed"])
    def test_converts_rows_of_any_dtype_and_layout(self, backend, rng, row_dtype, dtype, layout):
        rows = rng.standard_normal((70, 211)).astype(row_dtype)
        rows = {"C": rows, "F": np.asfortranarray(rows), "reversed": rows[::-1, ::-1]}[layout]
        C = spd(rng, 211, dtype)
        expected = oracle.update_factors(C, rows.astype(np.float64))

        cb.update_factors(C, rows)

        assert oracle.relative_error(C, expected) < oracle.tolerance(dtype)

    def test_every_float16_and_bfloat16_is_read_exactly(self, backend):
        bits = np.arange(1 << 16, dtype=np.uint16)
        for dtype in (np.float16, ml_dtypes.bfloat16):
            exponent = bits & (0x7C00 if dtype == np.float16 else 0x7F80)
            values = bits[exponent != exponent.max()].view(dtype)
            C = np.zeros((len(values), 1, 1), np.float64)

            cb.update_factors(C, values.reshape(-1, 1, 1), decay=0.0)

            assert np.array_equal(C[:, 0, 0], values.astype(np.float64) ** 2)

    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("positions", [None, 1, 5])
    @pytest.mark.parametrize("n", [1, 2, 33, 200])
    def test_bias_weights_and_shared_positions(self, backend, rng, bias, weighted, positions, n):
        shape = (6, n) if positions is None else (6, positions, n)
        rows = rng.standard_normal(shape)
        weights = rng.standard_normal(shape[:-1]) if weighted else None
        C = spd(rng, n + bias, np.float64)
        options = {"decay": 0.7, "weights": weights, "bias": bias}
        expected = oracle.update_factors(C, rows, **options)

        cb.update_factors(C, rows, **options)

        assert oracle.relative_error(C, expected) < 1e-13

    def test_a_ragged_group_with_everything_per_matrix(self, backend, rng):
        sizes, N = [3, 40, 1, 250], [7, 0, 1, 4000]
        bias = [True, False, True, False]
        rows = [rng.standard_normal((N_i, n)).astype(np.float16) for N_i, n in zip(N, sizes, strict=True)]
        C = [spd(rng, n + b, np.float32) for n, b in zip(sizes, bias, strict=True)]
        decay, scale = np.array([0.0, 0.25, 0.5, 1.0]), [0.1, 0.2, 0.3, 0.0004]
        weights = [rng.random(N_i).astype(np.float32) for N_i in N]
        expected = [
            oracle.update_factors(C[k], rows[k], decay=decay[k], scale=scale[k], weights=weights[k], bias=bias[k])
            for k in range(4)
        ]

        result = cb.update_factors(C, rows, decay=decay, scale=scale, weights=weights, bias=bias)

        assert result is C
        assert max(map(oracle.relative_error, C, expected)) < oracle.tolerance(np.float32)

    def test_stacks_of_any_leading_axes_and_strides(self, backend, rng):
        rows = rng.standard_normal((3, 2, 9, 4)).swapaxes(0, 1)
        C = np.zeros((3, 2, 4, 4)).swapaxes(0, 1)
        decay = np.linspace(0, 1, 6).reshape(2, 3)

        cb.update_factors(C, rows, decay=decay, scale=1.0)

        assert np.allclose(C, rows.swapaxes(-1, -2) @ rows)

    def test_is_exactly_symmetric_and_reads_only_the_lower_triangle(self, backend, rng):
        C = spd(rng, 300, np.float32)
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)
        rows = rng.standard_normal((50, 300)).astype(np.float32)

        cb.update_factors(C, rows)
        cb.update_factors(spoiled, rows)

        assert np.array_equal(C, C.T)
        assert np.array_equal(C, spoiled)

    def test_decay_zero_does_not_read_the_old_factor(self, backend, rng):
        rows = rng.standard_normal((5, 4))

        C = cb.update_factors(np.full((4, 4), np.nan), rows, decay=0.0)

        assert np.allclose(C, rows.T @ rows / 5)

    def test_no_rows_only_decay(self, backend, rng):
        C = spd(rng, 5, np.float64)

        assert np.array_equal(cb.update_factors(C.copy(), np.zeros((0, 5)), decay=0.5), 0.5 * C)
        assert np.array_equal(cb.update_factors(C.copy(), np.zeros((3, 0, 5)), decay=0.5), 0.5 * C)

    def test_copy_returns_new_factors(self, backend, rng):
        C = spd(rng, 40, np.float32)
        C.setflags(write=False)
        rows = rng.standard_normal((9, 40)).astype(np.float32)

        updated = cb.update_factors([C], [rows], copy=True)

        assert np.array_equal(updated[0], cb.update_factors(C.copy(), rows))
        assert updated[0].ctypes.data % 64 == 0

    def test_a_running_mean_has_no_bias_towards_its_start(self, backend, rng):
        batches = rng.standard_normal((12, 8, 3))
        C = np.zeros((3, 3))

        for k, rows in enumerate(batches, start=1):
            cb.update_factors(C, rows, decay=min(1 - 1 / k, 0.95))

        assert np.allclose(C, np.einsum("kni,knj->ij", batches, batches) / (12 * 8))

    def test_a_bad_entry_of_a_parameter_array_makes_its_matrix_nan(self, backend, rng):
        C, rows = np.zeros((3, 2, 2)), rng.standard_normal((3, 5, 2))

        cb.update_factors(C, rows, decay=np.array([0.5, 1.5, np.nan]))

        assert np.isfinite(C[0]).all()
        assert np.isnan(C[1:]).all()

    @given(
        d=st.integers(0, 40),
        N=st.integers(0, 40),
        T=st.integers(1, 3),
        bias=st.booleans(),
        seed=st.integers(0, 99),
    )
    def test_any_shape(self, d, N, T, bias, seed):
        rng = np.random.default_rng(seed)
        rows, C = rng.standard_normal((N, T, d)), spd(rng, d + bias, np.float64)
        expected = oracle.update_factors(C, rows, bias=bias)

        cb.update_factors(C, rows, bias=bias)

        assert np.allclose(C, expected, rtol=1e-12, atol=1e-13)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"decay": 1.5}, ValueError, r"decay must be a number in \[0, 1\], got 1.5"),
            ({"decay": float("nan")}, ValueError, r"decay must be a number in \[0, 1\], got nan"),
            ({"decay": "much"}, TypeError, r"decay must be a number in \[0, 1\], or one per matrix, got str"),
            ({"decay": True}, TypeError, "decay must be .* got bool"),
            ({"decay": [0.5, 0.5]}, ValueError, "decay must be .* got a list of 2"),
            ({"decay": np.zeros(3)}, ValueError, r"decay must be .* got shape \(3,\)"),
            ({"scale": float("inf")}, ValueError, "scale must be a finite number, got inf"),
            (
                {"weights": np.zeros(4)},
                ValueError,
                r"weights must be shaped like rows \(5, 3\) without the last axis, got \(4,\)",
            ),
            ({"weights": [np.zeros(5)]}, TypeError, "weights must be one array like factors, got list"),
            (
                {"bias": True},
                ValueError,
                r"rows must have shape \(N, 2\) or \(N, T, 2\) .* with bias=True, got \(5, 3\)",
            ),
            ({"copy": "no"}, TypeError, "copy must be True or False, got str"),
            ({"copy": 0.5}, TypeError, "copy must be True or False, got float"),
            ({"decay": 10**400}, ValueError, "decay must be .* got an integer that is too large"),
            ({"decay": np.complex64(0.5)}, TypeError, "decay must be a number"),
            ({"bias": 1}, TypeError, "bias must be True or False, got int"),
            ({"bias": [True, False]}, ValueError, "bias must be True or False, .* got a list of 2"),
        ],
    )
    def test_bad_options_are_named_and_nothing_is_written(self, options, error, message):
        C = np.eye(3)

        with pytest.raises(error, match=f"update_factors: {message}"):
            cb.update_factors(C, np.ones((5, 3)), **options)

        assert np.array_equal(C, np.eye(3))


class TestFactoredDamping:
    def test_the_product_is_the_damping_and_the_ratio_is_pi(self, backend, rng):
        A, G = spd(rng, 7, np.float32), spd(rng, 3, np.float32)

        damping_A, damping_G = cb.factored_damping(A, G, 0.01)

        assert np.isclose(damping_A * damping_G, 0.01)
        assert np.isclose(np.sqrt(damping_A / damping_G), oracle.pi(A, G))

    def test_it_overdamps_by_a_positive_semidefinite_residual(self, backend, rng):
        A, G, damping = spd(rng, 4, np.float64), spd(rng, 3, np.float64), 0.3

        damping_A, damping_G = cb.factored_damping(A, G, damping)
        factored = np.kron(G + damping_G * np.eye(3), A + damping_A * np.eye(4))
        residual = factored - np.kron(G, A) - damping * np.eye(12)

        assert np.linalg.eigvalsh(residual).min() > -1e-14

    def test_scale_may_move_between_the_factors(self, backend, rng):
        A, G = spd(rng, 4, np.float64), spd(rng, 3, np.float64)

        damping_A, damping_G = cb.factored_damping([A, 100 * A], [G, G / 100], 0.1)

        assert np.allclose(damping_A * [1, 0.01], damping_A[0])
        assert np.allclose(damping_G * [1, 100], damping_G[0])

    @pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
    def test_pi_is_one_where_a_trace_is_of_no_use(self, backend, bad):
        damping_A, damping_G = cb.factored_damping(np.diag([bad, bad]), np.eye(3), 0.04)

        assert damping_A == damping_G == 0.2

    def test_a_bad_entry_of_a_damping_array_is_nan_in_its_pair(self, backend):
        damping_A, damping_G = cb.factored_damping([np.eye(2)] * 3, [np.eye(3)] * 3, np.array([0.04, -1, np.nan]))

        assert np.array_equal(np.isnan(damping_A), [False, True, True])
        assert np.array_equal(np.isnan(damping_G), [False, True, True])

    def test_pairs_must_match(self):
        with pytest.raises(
            ValueError, match=r"G must have the leading axes of A with shape \(2, 3, 3\), got \(4, 3, 3\)"
        ):
            cb.factored_damping(np.zeros((2, 3, 3)), np.zeros((4, 3, 3)), 0.1)


class TestDampedInverse:
    @pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 63, 64, 65, 130, 300])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_inverse_residual_and_log_det(self, backend, rng, n, dtype):
        C = spd(rng, n, dtype)

        result = cb.damped_inverse(C, 0.05)

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

    def test_reads_only_the_lower_triangle(self, backend, rng):
        C = spd(rng, 70, np.float64)
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

        assert np.array_equal(cb.damped_inverse(spoiled, 0.1).inverse, cb.damped_inverse(C, 0.1).inverse)

    @pytest.mark.parametrize("n", [4, 40, 90])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_reports_the_failing_minor(self, backend, rng, n, dtype):
        C = spd(rng, n, dtype)
        C[n // 2, n // 2] = -1

        with pytest.raises(
            cb.NotPositiveDefiniteError,
            match=rf"factors\[1\] .* leading minor of order {n // 2 + 1} is not positive",
        ) as error:
            cb.damped_inverse([np.eye(3, dtype=dtype), C], 0.0, on_failure="raise")

        assert (error.value.index, error.value.minor) == (1, n // 2 + 1)
        assert isinstance(error.value, np.linalg.LinAlgError)

    @pytest.mark.parametrize("n", [4, 90])
    def test_raise_also_names_nan(self, backend, n):
        C = np.eye(n)
        C[2, 1] = np.inf

        with pytest.raises(
            cb.NotPositiveDefiniteError, match="factors plus damping holds NaN or Inf, first in row 2"
        ) as error:
            cb.damped_inverse(C, 0.0, on_failure="raise")

        assert (error.value.index, error.value.minor) == (0, 3)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("n", [5, 33, 64, 80])
    def test_statuses_of_bad_matrices_and_untouched_neighbours(self, backend, rng, dtype, n):
        good = spd(rng, n, dtype)
        nan, inf, zero, negative = good.copy(), good.copy(), np.zeros_like(good), -good
        nan[n - 1, 0], inf[1, 1] = np.nan, -np.inf
        expected = cb.damped_inverse(good, 0.1)

        result = cb.damped_inverse(
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
        result = cb.damped_inverse(np.stack([np.eye(2)] * 3), np.array([1.0, bad, 0.0]))

        assert result.status.tolist() == [0, Status.INVALID_PARAMETER, 0]
        assert np.isnan(result.inverse[1]).all()
        assert np.allclose(result.inverse[[0, 2]], np.stack([np.eye(2) / 2, np.eye(2)]))

    @pytest.mark.parametrize("n", [6, 100])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_jitter_is_reported_and_is_what_was_added(self, backend, rng, n, dtype):
        C = np.diag(np.ones(n)).astype(dtype)
        C[0, 0] = -3e-5  # indefinite beyond rounding: needs a jitter between 3e-5 and 1e-2

        result = cb.damped_inverse(C, 0.0)

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
        for _ in range(20):
            v = 1 + rng.random(60)
            C = (np.outer(v, v) + 1e-7 * spd(rng, 60, np.float64)).astype(np.float32)
            damping = 1e-8 + max(0.0, -np.linalg.eigvalsh(oracle.symmetric(C)).min())
            kept = cb.damped_inverse(C, damping, on_failure="keep", out=np.zeros_like(C))

            result = cb.damped_inverse(C, damping)

            # Rounding to float32 may cost what float64 gained: status 6, and still the right inverse.
            assert result.jitter == 0
            assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, damping)) < 1e-6
            rescued += int(kept.status == Status.NOT_POSITIVE_DEFINITE)
        assert rescued > 0

    def test_statuses_5_and_6_do_not_raise(self, backend):
        result = cb.damped_inverse([np.eye(2)], np.array([-1.0]), on_failure="raise")

        assert result.status.tolist() == [Status.INVALID_PARAMETER]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("n", [8, 40, 120])
    def test_never_ok_with_a_large_residual(self, backend, rng, dtype, n):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        for exponent in range(0, 19, 1):
            C = ((Q * np.logspace(0, -exponent, n)) @ Q.T).astype(dtype)

            result = cb.damped_inverse(C, 0.0)

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

        result = cb.damped_inverse(C, 0.0)

        assert result.ok == fits
        if fits:
            assert oracle.residual(C, 0.0, result.inverse) < 1e-2
        else:
            assert result.status == Status.INACCURATE
            assert np.isnan(result.inverse).all()

    def test_rank_one_with_damping(self, backend):
        v = np.arange(1.0, 51.0)

        result = cb.damped_inverse(np.outer(v, v), 0.5)

        assert result.status == Status.OK
        assert np.allclose(result.inverse, (np.eye(50) - np.outer(v, v) / (0.5 + v @ v)) / 0.5)

    @pytest.mark.parametrize("n", [3, 70])
    def test_keep_leaves_the_failed_matrices_of_out(self, backend, rng, n):
        good = spd(rng, n, np.float64)
        out = [np.full((n, n), 7.0) for _ in range(3)]

        result = cb.damped_inverse([good, -good, np.full((n, n), np.nan)], 0.1, on_failure="keep", out=out)

        assert result.inverse is out
        assert result.status.tolist() == [0, 2, 3]
        assert np.array_equal(out[0], cb.damped_inverse(good, 0.1).inverse)
        assert all((x == 7).all() for x in out[1:])

    def test_results_of_a_list_are_aligned(self, backend, rng):
        result = cb.damped_inverse([spd(rng, n, np.float32) for n in range(1, 30)], 0.1)

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
            ({"method": "lu"}, ValueError, "method must be \"cholesky\", got 'lu'"),
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


class TestPrecondition:
    @pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 50), (193, 7), (400, 150)])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_rectangles(self, backend, rng, m, n, dtype):
        V, A, G = (rng.standard_normal(shape).astype(dtype) for shape in [(m, n), (n, n), (m, m)])

        P = cb.precondition(V, A, G)

        assert oracle.relative_error(P, oracle.precondition(V, A, G)) < oracle.tolerance(dtype)

    @pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0), (0, 0)])
    def test_empty_gradients(self, backend, m, n):
        assert cb.precondition(np.zeros((m, n)), np.eye(n), np.eye(m)).shape == (m, n)

    def test_is_the_kronecker_product(self, backend, rng):
        V, A, G = rng.standard_normal((3, 4)), spd(rng, 4, np.float64), spd(rng, 3, np.float64)

        assert np.allclose(cb.precondition(V, A, G).ravel(), np.kron(G, A) @ V.ravel())


class TestAllFinite:
    @pytest.mark.parametrize("dtype", ROW_DTYPES)
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_finds_one_bad_element_anywhere(self, backend, dtype, bad):
        x = np.zeros(9001, dtype)

        for k in (0, 1, 4095, 4096, 9000):
            x[k] = bad
            assert not cb.all_finite(x)
            assert not cb.all_finite([np.ones(3, dtype), x[::-1], x])
            x[k] = 0
        assert cb.all_finite(x)

    def test_large_numbers_and_denormals_are_finite(self, backend):
        assert cb.all_finite(
            [np.array([np.finfo(d).max, np.finfo(d).tiny / 2, -0.0], d) for d in (np.float16, np.float32, np.float64)]
        )

    def test_any_shape_and_stride(self, backend):
        x = np.zeros((4, 5, 6))
        x[1, 2, 3] = np.nan

        assert not cb.all_finite(x.transpose(2, 0, 1))
        assert not cb.all_finite(x[::-1, 1:, ::3])
        assert cb.all_finite(x[::-1, 1:, ::2])
        assert cb.all_finite(x[:0])
        assert cb.all_finite(np.array(1.0))
        assert not cb.all_finite(np.array(np.nan))
        assert cb.all_finite([])


class TestKfacIdentities:
    def step(self, grads, a, g, damping):
        """One K-FAC direction through the public functions."""
        A = cb.update_factors([np.zeros((x.shape[1],) * 2) for x in a], a, decay=0.0)
        G = cb.update_factors([np.zeros((x.shape[1],) * 2) for x in g], g, decay=0.0)
        damping_A, damping_G = cb.factored_damping(A, G, damping)
        A_inv, G_inv = cb.damped_inverse(A, damping_A), cb.damped_inverse(G, damping_G)
        assert A_inv.ok.all()
        assert G_inv.ok.all()
        return cb.precondition(grads, A_inv.inverse, G_inv.inverse)

    def test_one_case_has_an_exact_kronecker_block(self, backend, rng):
        """Methods: with N = 1 the empirical Fisher block is gg^T (x) aa^T."""
        a, g = rng.standard_normal((1, 4)), rng.standard_normal((1, 3))
        A = cb.update_factors(np.zeros((4, 4)), a, decay=0.0)
        G = cb.update_factors(np.zeros((3, 3)), g, decay=0.0)
        per_case_gradient = np.outer(g, a).ravel()

        assert np.allclose(np.kron(G, A), np.outer(per_case_gradient, per_case_gradient))

    def test_deep_linear_networks_have_exact_ggn_blocks(self, backend, rng):
        """Squared error, s = W2 W1 x: the block of W1 is (W2^T W2) (x) E[x x^T]."""
        x, W1, W2 = rng.standard_normal((20, 4)), rng.standard_normal((3, 4)), rng.standard_normal((2, 3))
        jacobians = np.stack([np.kron(W2, row) for row in x])  # d s / d W1, row-major
        ggn = np.einsum("nop,noq->pq", jacobians, jacobians) / 20

        A = cb.update_factors(np.zeros((4, 4)), x, decay=0.0)
        G = cb.update_factors(np.zeros((3, 3)), W2, decay=0.0, scale=1.0)

        assert W1.shape == (3, 4)
        assert np.allclose(np.kron(G, A), ggn)

    def test_step_solves_the_factored_system(self, backend, rng):
        grads = [rng.standard_normal((3, 5)), rng.standard_normal((40, 70))]
        a = [rng.standard_normal((64, 5)), rng.standard_normal((64, 70))]
        g = [rng.standard_normal((64, 3)), rng.standard_normal((64, 40))]

        P = self.step(grads, a, g, damping=0.1)

        for V, D, x, y in zip(grads, P, a, g, strict=True):
            A, G = x.T @ x / 64, y.T @ y / 64
            damping_A, damping_G = oracle.factored_damping(A, G, 0.1)
            assert np.allclose((G + damping_G * np.eye(len(G))) @ D @ (A + damping_A * np.eye(len(A))), V)

    @pytest.mark.parametrize("damping", [0.0, 0.1])
    def test_undamped_kfac_is_invariant_to_affine_maps_of_activations(self, backend, rng, damping):
        """Luk and Grosse 2018: with a' = a Om, s' = Phi s the step is Phi D Om^-T; damping breaks it."""
        N, p, q = 50, 4, 3
        a = np.c_[rng.standard_normal((N, p)), np.ones(N)]
        g = rng.standard_normal((N, q))
        Om = np.eye(p + 1) + 0.3 * rng.standard_normal((p + 1, p + 1))
        Om[:, -1] = np.eye(p + 1)[:, -1]
        Phi = np.eye(q) + 0.3 * rng.standard_normal((q, q))
        V = g.T @ a / N
        a2, g2 = a @ Om, g @ np.linalg.inv(Phi)
        V2 = g2.T @ a2 / N

        (step,) = self.step([V], [a], [g], damping)
        (mapped,) = self.step([V2], [a2], [g2], damping)

        same = np.allclose(mapped, Phi @ step @ np.linalg.inv(Om).T, rtol=1e-9)
        assert same == (damping == 0)

    def test_a_dead_layer_gets_a_zero_step(self, backend, rng):
        """A = 0: pi = 1, the zero factor is inverted as sqrt(damping) I, and V = 0 stays 0."""
        (step,) = self.step([np.zeros((3, 4))], [np.zeros((8, 4))], [rng.standard_normal((8, 3))], 0.01)

        assert np.array_equal(step, np.zeros((3, 4)))
