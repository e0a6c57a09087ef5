"""Wrong arguments of `update_conv_factors`: the sentence names what is wrong, and nothing is written."""

import itertools

import numpy as np
import pytest

import curvblas as cb

IMAGES = np.ones((2, 4, 5, 6))


class TestBadArguments:
    @pytest.mark.parametrize(
        ("kernel_size", "options", "error", "message"),
        [
            (6, {}, ValueError, "along axis 0 the kernel covers 6, got 5 and padding of 0 on both sides"),
            ((1, 4), {"dilation": 3, "padding": 1}, ValueError, "along axis 1 the kernel covers 10, got 6 and padding"),
            (np.array([3, 3]), {}, TypeError, "kernel_size must be an int >= 1, .* got numpy.ndarray"),
            (10**20, {}, ValueError, r"kernel_size must be .* below 2\^31, got 100000000000000000000"),
            (1, {"padding": 2**31 - 1}, ValueError, "inputs must have at most 1e15 patches of at most 1e15 elements"),
            (0, {}, ValueError, r"kernel_size must be an int >= 1 and below 2\^31, got 0"),
            (2.0, {}, TypeError, "kernel_size must be an int >= 1, or a tuple with one per axis, got float"),
            (True, {}, TypeError, "kernel_size must be an int >= 1, .* got bool"),
            ("3", {}, TypeError, "kernel_size must be an int >= 1, .* got str"),
            (None, {}, TypeError, "kernel_size must be an int >= 1, .* got NoneType"),
            ((2, 2, 2), {}, ValueError, "kernel_size must be an int, or one for each of the 2 axes .* got 3"),
            ((2, 2.5), {}, TypeError, "kernel_size must be an int >= 1, .* got float"),
            (2, {"stride": 0}, ValueError, "stride must be an int >= 1 and below .* got 0"),
            (2, {"padding": -1}, ValueError, "padding must be an int >= 0 and below .* got -1"),
            (2, {"dilation": (1,)}, ValueError, "dilation must be an int, or one for each of the 2 axes .* got 1"),
            (2, {"groups": (1, 1)}, TypeError, "groups must be an int >= 1, got tuple"),
            (2, {"groups": 0}, ValueError, r"groups must be an int >= 1 and below 2\^31, got 0"),
            (2, {"groups": 3}, ValueError, r"factors must have shape \(\.\.\., groups, p, p\) with groups = 3, got"),
            (2, {"bias": True}, ValueError, r"factors must have shape \(17, 17\) .* 4 kernel offsets and the bias"),
            (3, {}, ValueError, r"factors must have shape \(36, 36\) for 4 channels, 9 kernel offsets, got \(16, 16\)"),
            (2, {"decay": 1.5}, ValueError, r"decay must be a number in \[0, 1\], got 1.5"),
            (2, {"scale": np.inf}, ValueError, "scale must be a finite number, got inf"),
            (2, {"copy": 1}, TypeError, "copy must be True or False, got int"),
        ],
    )  # fmt: skip
    def test_are_named_and_nothing_is_written(self, kernel_size, options, error, message):
        C = np.eye(16)

        with pytest.raises(error, match=f"update_conv_factors: .*{message}"):
            cb.update_conv_factors(C, IMAGES, kernel_size, **options)

        assert np.array_equal(C, np.eye(16))

    @pytest.mark.parametrize(
        ("factor_shape", "image_shape", "groups", "message"),
        [
            ((8, 8), (3, 0, 5, 5), 1, r"inputs must have at least one channel, got shape \(3, 0, 5, 5\)"),
            (
                (3, 8, 8),
                (3, 4, 5, 5),
                3,
                "inputs must have a number of channels that groups = 3 divides, got 4 in shape",
            ),
            (
                (2, 9, 9),
                (3, 4, 5, 5),
                2,
                r"factors must have shape \(2, 8, 8\) for 2 channels a group, 4 kernel offsets",
            ),
            ((3, 8, 8), (3, 4, 5, 5), 2, r"factors must have shape \(2, 8, 8\) .* got \(3, 8, 8\)"),
            (
                (8, 8),
                (4, 5),
                1,
                r"inputs must have shape \(\.\.\., N, channels, \*size\) with one to three axes of size",
            ),
            ((8, 8), (1, 2, 3, 3, 3, 3), 1, "one to three axes of size"),
            ((6, 8, 8), (5, 3, 2, 5, 5), 1, r"inputs must have the leading axes of factors of shape \(6, 8, 8\)"),
            ((8, 7), (3, 2, 5, 5), 1, r"factors must have shape \(\.\.\., p, p\), got \(8, 7\)"),
        ],
    )
    def test_shapes_that_do_not_fit_are_named(self, factor_shape, image_shape, groups, message):
        with pytest.raises(ValueError, match=message):
            cb.update_conv_factors(np.zeros(factor_shape), np.zeros(image_shape), 2, groups=groups)

    @pytest.mark.parametrize(
        ("factor_shape", "groups", "message"),
        [
            ((16, 16), 2, r"factors\[0\] must have shape \(groups, p, p\) with groups = 2, got \(16, 16\)"),
            ((2, 16, 16), 1, r"factors\[0\] must have shape \(p, p\), got \(2, 16, 16\)"),
            ((1, 2, 8, 8), 2, r"factors\[0\] must have shape \(groups, p, p\) with groups = 2, got \(1, 2, 8, 8\)"),
            ((2, 8), 1, r"factors\[0\] must have shape \(p, p\), got \(2, 8\)"),
        ],
    )
    def test_arrays_of_a_list_have_no_other_axes_than_their_groups(self, factor_shape, groups, message):
        with pytest.raises(ValueError, match=message):
            cb.update_conv_factors([np.zeros(factor_shape)], [IMAGES], 2, groups=[groups])

    def test_memory_that_is_written_belongs_to_one_argument(self):
        room = np.zeros(600)
        C, inputs = room[:256].reshape(16, 16), room[200:440].reshape(2, 4, 5, 6)

        with pytest.raises(ValueError, match=r"factors.* is written and must not share memory with"):
            cb.update_conv_factors(C, inputs, 2)
        for pair in itertools.permutations([room[:256].reshape(16, 16), room[10:266].reshape(16, 16)]):
            with pytest.raises(ValueError, match=r"factors.* is written and must not share memory with"):
                cb.update_conv_factors(list(pair), [IMAGES, IMAGES], 2)

    def test_lists_of_geometries_have_one_entry_per_array(self):
        with pytest.raises(ValueError, match="kernel_size must have one entry for each of the 2 of factors, got 3"):
            cb.update_conv_factors([np.eye(16)] * 2, [IMAGES] * 2, [2, 2, 2], copy=True)
