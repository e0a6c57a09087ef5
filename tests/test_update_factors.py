"""Accumulation: dtypes, layouts, options, limits, errors."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curvblas as cb

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

        backend.update_factors(C, rows)

        assert oracle.relative_error(C, expected) < oracle.tolerance(dtype)

    def test_every_float16_and_bfloat16_is_read_exactly(self, backend):
        bits = np.arange(1 << 16, dtype=np.uint16)
        for dtype in (np.float16, ml_dtypes.bfloat16):
            exponent = bits & (0x7C00 if dtype == np.float16 else 0x7F80)
            values = bits[exponent != exponent.max()].view(dtype).reshape(-1, 1, 64)
            C = np.zeros((len(values), 64, 64), np.float64)

            backend.update_factors(C, values, decay=0.0)

            assert np.array_equal(C.diagonal(axis1=1, axis2=2), values[:, 0].astype(np.float64) ** 2)

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

        backend.update_factors(C, rows, **options)

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

        result = backend.update_factors(C, rows, decay=decay, scale=scale, weights=weights, bias=bias)

        assert result is C
        assert max(map(oracle.relative_error, C, expected)) < oracle.tolerance(np.float32)

    def test_stacks_of_any_leading_axes_and_strides(self, backend, rng):
        rows = rng.standard_normal((3, 2, 9, 4)).swapaxes(0, 1)
        C = np.zeros((3, 2, 4, 4)).swapaxes(0, 1)
        decay = np.linspace(0, 1, 6).reshape(2, 3)

        backend.update_factors(C, rows, decay=decay, scale=1.0)

        assert np.allclose(C, rows.swapaxes(-1, -2) @ rows)

    def test_is_exactly_symmetric_and_reads_only_the_lower_triangle(self, backend, rng):
        C = spd(rng, 300, np.float32)
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)
        rows = rng.standard_normal((50, 300)).astype(np.float32)

        backend.update_factors(C, rows)
        backend.update_factors(spoiled, rows)

        assert np.array_equal(C, C.T)
        assert np.array_equal(C, spoiled)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(("N", "d", "weighted"), [(3, 900, True), (130, 577, False), (9000, 600, True)])
    def test_rows_are_packed_once_for_many_tiles(self, cpu, rng, dtype, N, d, weighted):
        rows = rng.standard_normal((2, N // 2 + 1, 2, d)).astype(dtype).swapaxes(1, 2)
        weights = rng.standard_normal(rows.shape[:-1]) if weighted else None
        C = np.stack([spd(rng, d + 1, dtype)] * 2)
        options = {"bias": True, "decay": 0.7, "scale": 1 / N}
        expected = [
            oracle.update_factors(C[k], rows[k], weights=weights[k] if weighted else None, **options) for k in range(2)
        ]

        cpu.update_factors(C, rows, weights=weights, **options)

        assert np.array_equal(C, C.swapaxes(1, 2))
        assert oracle.relative_error(C, np.stack(expected)) < oracle.tolerance(dtype)

    @pytest.mark.parametrize(("N", "d"), [(300_001, 17), (140_000, 130), (30_000, 600)])
    def test_long_sums_of_float32_stay_exact(self, cpu, rng, N, d):
        rows = rng.standard_normal((N, d), np.float32) + 1
        expected = rows.astype(np.float64).T @ rows / N

        C = cpu.update_factors(np.zeros((d, d), np.float32), rows, decay=0.0)

        assert np.abs(C / expected - 1).max() < 1e-6

    def test_long_sums_on_a_device(self, device, rng):
        rows = rng.standard_normal((20_000, 3), np.float32) + 1

        C = device.update_factors(np.zeros((3, 3), np.float32), rows, decay=0.0)

        assert np.abs(C / (rows.astype(np.float64).T @ rows / 20_000) - 1).max() < 1e-6

    @pytest.mark.parametrize(("N", "d"), [(200_000, 16), (150_000, 49), (4096, 16)])
    def test_equal_rows_whose_rounding_errors_all_have_one_sign_stay_close(self, cpu, rng, N, d):
        x = rng.uniform(0.5, 1.5, d).astype(np.float32)

        C = cpu.update_factors(np.zeros((d, d), np.float32), np.broadcast_to(x, (N, d)), decay=0.0)

        assert np.abs(C / np.outer(x.astype(np.float64), x) - 1).max() < 3e-6

    @pytest.mark.parametrize(("N", "d"), [(20_000, 40), (9000, 700)])
    def test_decay_zero_does_not_read_the_old_factor_in_ranges_or_passes(self, cpu, rng, N, d):
        rows = rng.standard_normal((N, d), np.float32)

        C = cpu.update_factors(np.full((d, d), np.nan, np.float32), rows, decay=0.0)

        assert oracle.relative_error(C, rows.astype(np.float64).T @ rows / N) < oracle.tolerance(np.float32)

    def test_decay_zero_does_not_read_the_old_factor(self, backend, rng):
        rows = rng.standard_normal((5, 4))

        C = backend.update_factors(np.full((4, 4), np.nan), rows, decay=0.0)

        assert np.allclose(C, rows.T @ rows / 5)

    def test_no_rows_only_decay(self, backend, rng):
        C = spd(rng, 5, np.float64)

        assert np.array_equal(backend.update_factors(C.copy(), np.zeros((0, 5)), decay=0.5), 0.5 * C)
        assert np.array_equal(backend.update_factors(C.copy(), np.zeros((3, 0, 5)), decay=0.5), 0.5 * C)

    def test_copy_returns_new_factors(self, backend, rng):
        C = spd(rng, 40, np.float32)
        C.setflags(write=False)
        rows = rng.standard_normal((9, 40)).astype(np.float32)

        updated = backend.update_factors([C], [rows], copy=True)

        assert np.array_equal(updated[0], backend.update_factors(C.copy(), rows))

    def test_new_factors_are_aligned(self, cpu):
        updated = cpu.update_factors(
            [np.eye(n) for n in range(1, 9)], [np.ones((1, n)) for n in range(1, 9)], copy=True
        )

        assert all(C.ctypes.data % 64 == 0 for C in updated)

    def test_a_running_mean_has_no_bias_towards_its_start(self, backend, rng):
        batches = rng.standard_normal((12, 8, 3))
        C = np.zeros((3, 3))

        for k, rows in enumerate(batches, start=1):
            backend.update_factors(C, rows, decay=min(1 - 1 / k, 0.95))

        assert np.allclose(C, np.einsum("kni,knj->ij", batches, batches) / (12 * 8))

    def test_a_bad_entry_of_a_parameter_array_makes_its_matrix_nan(self, backend, rng):
        C, rows = np.zeros((3, 2, 2)), rng.standard_normal((3, 5, 2))

        backend.update_factors(C, rows, decay=np.array([0.5, 1.5, np.nan]))

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
            ({"decay": np.ma.masked_array(0.5)}, TypeError, "decay must be a plain array: masks are not supported"),
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
