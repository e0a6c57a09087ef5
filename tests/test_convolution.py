"""The factors of convolutions: dtypes, layouts, groups, limits."""

import ml_dtypes
import numpy as np
import pytest

import curvblas as cb

import oracle
from cases import spd
from convolutions import error_of, factor

IMAGE_DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]


class TestUpdateConvFactors:
    def test_keeps_its_accuracy_over_many_positions(self, backend, rng):
        # Depthwise: on a device more partial sums than it holds at a time.
        inputs = rng.standard_normal((3, 12, 60, 70)).astype(np.float32)
        C = np.zeros((12, 9, 9), np.float32)

        error = error_of(backend, C, inputs, (3, 3), groups=12, decay=0.0, padding=1)

        assert error < 1e-6

    @pytest.mark.parametrize("image_dtype", IMAGE_DTYPES)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("layout", ["C", "channels last", "reversed"])
    @pytest.mark.parametrize("channels", [3, 64])
    def test_converts_images_of_any_dtype_and_layout(self, backend, rng, image_dtype, dtype, layout, channels):
        inputs = rng.standard_normal((6, channels, 7, 9)).astype(image_dtype)
        if layout == "channels last":
            inputs = np.moveaxis(np.ascontiguousarray(np.moveaxis(inputs, 1, -1)), -1, 1)
        elif layout == "reversed":
            inputs = np.concatenate([inputs, inputs], axis=3)[::-1, ::-1, ::-1, ::-2]
        C = factor(rng, channels, (3, 3), dtype)

        error = error_of(backend, C, inputs, (3, 3), padding=1)

        assert error < (1e-6 if dtype == np.float32 else 1e-13)

    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("channels", [2, 64])
    def test_groups_keep_one_factor_each(self, backend, rng, bias, channels):
        inputs = rng.standard_normal((7, 3 * channels, 8, 6))
        C = np.stack([factor(rng, channels, (3, 3), bias=bias) for _ in range(3)])

        error = error_of(backend, C, inputs, (3, 3), groups=3, padding=1, bias=bias)

        assert error < 1e-13

    def test_stacks_of_any_leading_axes_and_strides(self, backend, rng):
        inputs = rng.standard_normal((3, 2, 4, 6, 5, 7)).swapaxes(0, 1)
        C = np.zeros((3, 2, 2, 12, 12)).swapaxes(0, 1)
        decay = np.linspace(0, 1, 12).reshape(2, 3, 2)

        backend.update_conv_factors(C, inputs, 2, groups=2, decay=decay, scale=1.0)

        for k in np.ndindex(2, 3):
            expected = oracle.update_conv_factors(
                np.zeros((2, 12, 12)), inputs[k], (2, 2), groups=2, decay=0.0, scale=1.0
            )
            assert np.allclose(C[k], expected)

    def test_a_ragged_group_with_everything_per_matrix(self, backend, rng):
        channels, N, kernels = [3, 64, 1, 2], [7, 9, 1, 0], [(2, 3), (3, 3), (4,), (1, 2, 1)]
        sizes, bias = [(5, 6), (8, 7), (4,), (2, 2, 2)], [True, False, True, False]
        options = {"stride": [(2, 1), 1, 1, 2], "padding": [1, (1, 0), 3, 0], "dilation": [1, 1, 2, 1]}
        inputs = [
            rng.standard_normal((n, c, *s)).astype(np.float16) for n, c, s in zip(N, channels, sizes, strict=True)
        ]
        C = [factor(rng, c, k, np.float32, bias=b) for c, k, b in zip(channels, kernels, bias, strict=True)]
        decay, scale = np.array([0.0, 0.25, 0.5, 1.0]), [0.1, 0.02, 0.3, 0.4]
        expected = [
            oracle.update_conv_factors(
                C[k], inputs[k], kernels[k], decay=decay[k], scale=scale[k], bias=bias[k],
                **{name: values[k] for name, values in options.items()},
            )
            for k in range(4)
        ]  # fmt: skip

        result = backend.update_conv_factors(C, inputs, kernels, decay=decay, scale=scale, bias=bias, **options)

        assert result is C
        assert max(map(oracle.relative_error, C, expected)) < 1e-6

    def test_a_ragged_group_of_grouped_convolutions(self, backend, rng):
        channels, groups, kernels = [4, 6, 64], [4, 1, 2], [(3, 3), (2, 2), (3, 3)]  # depthwise, plain, grouped
        inputs = [rng.standard_normal((5, c, 7, 6)) for c in channels]
        C = []
        for c, g, k in zip(channels, groups, kernels, strict=True):
            each = [factor(rng, c // g, k) for _ in range(g)]
            C.append(np.stack(each) if g > 1 else each[0])
        decay, scale = [0.0, 0.5, 0.9], np.array([0.1, 0.2, 0.3])
        expected = [
            oracle.update_conv_factors(C[k], inputs[k], kernels[k], groups=groups[k], decay=decay[k], scale=scale[k])
            for k in range(3)
        ]

        backend.update_conv_factors(C, inputs, kernels, groups=groups, decay=decay, scale=scale)

        assert max(map(oracle.relative_error, C, expected)) < 1e-13

    @pytest.mark.parametrize("channels", [2, 64])
    def test_reads_only_the_lower_triangle(self, backend, rng, channels):
        inputs = rng.standard_normal((5, channels, 7, 7))
        C = factor(rng, channels, (3, 3), bias=True)
        spoiled = np.tril(C) + np.triu(np.full_like(C, np.nan), 1)

        backend.update_conv_factors(C, inputs, 3, padding=1, bias=True)
        backend.update_conv_factors(spoiled, inputs, 3, padding=1, bias=True)

        assert np.array_equal(C, spoiled)

    @pytest.mark.parametrize("channels", [2, 64])
    def test_decay_zero_does_not_read_the_old_factor(self, backend, rng, channels):
        inputs = rng.standard_normal((9, channels, 40))
        p = 5 * channels

        C = backend.update_conv_factors(np.full((p, p), np.nan), inputs, 5, decay=0.0)

        assert oracle.relative_error(C, oracle.update_conv_factors(np.zeros((p, p)), inputs, 5, decay=0.0)) < 1e-13

    @pytest.mark.parametrize("channels", [1, 64])
    def test_no_images_only_decay(self, backend, rng, channels):
        C = factor(rng, channels, (2, 2), bias=True)

        updated = backend.update_conv_factors(C, np.zeros((0, channels, 5, 5)), 2, decay=0.5, bias=True, copy=True)

        assert np.array_equal(updated, 0.5 * C)

    def test_one_image_of_one_patch_is_an_outer_product(self, backend, rng):
        image = rng.standard_normal((1, 3, 2, 2))

        C = backend.update_conv_factors(np.zeros((12, 12)), image, 2, decay=0.0)

        assert np.allclose(C, np.outer(image, image))

    def test_a_kernel_of_one_is_update_factors_of_the_pixels(self, backend, rng):
        inputs, C = rng.standard_normal((4, 5, 3, 3)), spd(rng, 6, np.float64)
        rows = inputs.reshape(4, 5, 9).swapaxes(1, 2)

        by_pixels = backend.update_factors(C.copy(), rows, bias=True)
        backend.update_conv_factors(C, inputs, 1, bias=True)

        assert np.allclose(C, by_pixels)

    @pytest.mark.parametrize("channels", [3, 64])
    def test_keeps_nan_within_its_own_matrix(self, backend, rng, channels):
        inputs = rng.standard_normal((2, 4, 2 * channels, 5, 6))
        C = np.stack([[factor(rng, channels, (3, 3))] * 2] * 2)
        expected = backend.update_conv_factors(C, inputs, 3, groups=2, padding=1, copy=True)
        spoiled = inputs.copy()
        spoiled[1, 3, channels, 2, 2] = np.nan

        updated = backend.update_conv_factors(C, spoiled, 3, groups=2, padding=1, copy=True)

        assert np.isnan(updated[1, 1]).any()
        updated[1, 1] = expected[1, 1]
        assert np.array_equal(updated, expected)

    @pytest.mark.parametrize("channels", [2, 64])
    def test_a_bad_entry_of_a_parameter_array_makes_its_matrix_nan(self, backend, rng, channels):
        inputs = rng.standard_normal((3, 9, channels, 5, 6))
        C = np.zeros((3, 9 * channels, 9 * channels))

        backend.update_conv_factors(C, inputs, 3, padding=1, decay=np.array([0.5, 1.5, np.nan]))

        assert np.isfinite(C[0]).all()
        assert np.isnan(C[1:]).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(
        ("channels", "size", "kernel_size", "options"),
        [
            (34, 30, (3, 3), {"padding": 1, "bias": True}),
            (17, 31, (5, 5), {"padding": 1, "bias": True}),
            (3, 61, (7, 7), {"stride": 2, "padding": 3}),
        ],
    )
    def test_long_sums_stay_exact(self, cpu, rng, dtype, channels, size, kernel_size, options):
        inputs = rng.random((40, channels, size, size)).astype(dtype)
        C = factor(rng, channels, kernel_size, dtype, bias=options.get("bias", False))

        assert error_of(cpu, C, inputs, kernel_size, **options) < (1e-6 if dtype == np.float32 else 1e-13)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_patches_are_packed_once_for_many_tiles(self, cpu, rng, dtype):
        inputs = rng.standard_normal((20, 70, 17, 16)).astype(dtype)
        C = factor(rng, 70, (3, 3), dtype, bias=True)

        error = error_of(cpu, C, inputs, (3, 3), stride=2, padding=(1, 2), bias=True)

        assert error < (1e-6 if dtype == np.float32 else 1e-13)

    def test_has_the_same_bits_alone_and_in_a_group(self, backend, rng):
        channels, sizes = [3, 64, 40, 64], [(6, 6), (8, 7), (12, 12), (30,)]
        kernels = [(3, 3), (3, 3), (3, 3), (5,)]
        inputs = [rng.standard_normal((6, c, *s)).astype(np.float32) for c, s in zip(channels, sizes, strict=True)]
        C = [factor(rng, c, k, np.float32) for c, k in zip(channels, kernels, strict=True)]

        group = backend.update_conv_factors(C, inputs, kernels, padding=1, copy=True)

        for k in range(4):
            alone = backend.update_conv_factors(C[k], inputs[k], kernels[k], padding=1, copy=True)
            assert np.array_equal(group[k], alone)

    def test_new_factors_leave_the_old_ones_alone(self, backend, rng):
        C, inputs = factor(rng, 3, (2, 2)), rng.standard_normal((4, 3, 5, 5))
        C.setflags(write=False)

        updated = backend.update_conv_factors(C, inputs, 2, copy=True)

        assert np.array_equal(updated, backend.update_conv_factors(C.copy(), inputs, 2))

    def test_has_the_same_bits_for_any_number_of_threads(self, cpu, rng):
        channels, sizes = [3, 64, 33], [(40, 40), (20, 20), (12, 12)]
        inputs = [rng.standard_normal((8, c, *s)).astype(np.float32) for c, s in zip(channels, sizes, strict=True)]
        C = [factor(rng, c, (3, 3), np.float32) for c in channels]
        results = {}

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            results[threads] = cpu.update_conv_factors(C, inputs, 3, padding=1, copy=True)

        for threads in (2, 3, 7):
            assert all(np.array_equal(a, b) for a, b in zip(results[1], results[threads], strict=True))
