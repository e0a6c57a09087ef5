"""The factors of convolutions against explicit patches, for all kinds of geometries."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from convolutions import error_of, factor

# Channels, size, kernel, geometry. Those of stride 1 and with enough channels and positions are summed by shifts, the
# others by patches. In the last three no offset sees the image, or there is one output.
GEOMETRIES = [
    (3, (9,), (4,), {}),
    (1, (1,), (1,), {}),
    (2, (7,), (3,), {"stride": 3, "padding": 2, "dilation": 2}),
    (3, (5, 6), (3, 3), {"padding": 1, "stride": 2}),
    (5, (6, 4), (1, 4), {"padding": (0, 3), "dilation": (4, 2)}),
    (16, (3, 3), (3, 3), {}),
    (2, (4, 3, 5), (2, 3, 1), {"padding": (0, 1, 0), "stride": (1, 2, 3)}),
    (1, (3, 2, 3), (3, 2, 2), {"padding": 1, "dilation": (1, 2, 1)}),
    (2, (5, 5), (5, 5), {"padding": 7}),
    (33, (8, 8), (2, 2), {"stride": 2}),
    (65, (5, 4), (2, 1), {"padding": (1, 0)}),
    (64, (40,), (5,), {"padding": 5}),
    (128, (40,), (5,), {"padding": 2, "dilation": 3}),
    (33, (12, 11), (3, 4), {"padding": (1, 2)}),
    (40, (13, 12), (3, 3), {"padding": 1}),
    (40, (9, 10), (4, 3), {"padding": 2}),
    (64, (4, 5, 4), (3, 2, 2), {"padding": 1}),
    (64, (9, 9), (3, 3), {"padding": 4, "dilation": 2}),
    (16, (1, 1), (2, 2), {"padding": 3, "dilation": 6}),
    (8, (1,), (4,), {"padding": 7, "dilation": 4}),
    (3, (5, 5), (3, 3), {"stride": 1_000_000}),
    (5, (9, 8), (1, 1), {"stride": 2}),
    (5, (9, 7, 5), (1, 2, 1), {"stride": (3, 1, 2), "padding": (0, 1, 0)}),
    (1, (300,), (160,), {}),
]


class TestChosenGeometries:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize(("channels", "size", "kernel_size", "geometry"), GEOMETRIES)
    def test_agrees_with_the_patch_matrix(self, backend, rng, dtype, bias, channels, size, kernel_size, geometry):
        inputs = rng.standard_normal((6, channels, *size)).astype(dtype)
        C = factor(rng, channels, kernel_size, dtype, bias=bias)

        error = error_of(backend, C, inputs, kernel_size, bias=bias, decay=0.7, **geometry)

        assert error < (1e-6 if dtype == np.float32 else 1e-13)


@st.composite
def convolutions(draw, channels, most_size):
    """Draw sizes, kernel, and geometry that fit, for one to three axes."""
    axes = draw(st.integers(1, 3))

    def per_axis(least, most):
        return tuple(draw(st.lists(st.integers(least, most), min_size=axes, max_size=axes)))

    size = per_axis(1, max(most_size // axes, 3))
    geometry = {"padding": per_axis(0, 5), "dilation": per_axis(1, 3)}
    geometry["stride"] = draw(st.just((1,) * axes) | st.just(per_axis(1, 3)))
    kernel_size = per_axis(1, 5 if axes < 3 else 3)
    extents = zip(size, kernel_size, geometry["padding"], geometry["dilation"], strict=True)
    assume(all(d * (k - 1) + 1 <= s + 2 * p for s, k, p, d in extents))
    count, groups = draw(st.sampled_from(channels)), draw(st.sampled_from([1, 1, 2]))
    N, bias = draw(st.integers(0, 9)), draw(st.booleans())
    assume(count * np.prod(kernel_size) <= 1200)
    return (N, count * groups, *size), kernel_size, {"groups": groups, "bias": bias, **geometry}


def check_any_geometry(backend, convolution, dtype, seed):
    shape, kernel_size, options = convolution
    rng, groups = np.random.default_rng(seed), options["groups"]
    inputs = rng.standard_normal(shape).astype(dtype)
    C = [factor(rng, shape[1] // groups, kernel_size, dtype, bias=options["bias"]) for _ in range(groups)]

    error = error_of(backend, np.stack(C) if groups > 1 else C[0], inputs, kernel_size, **options)

    assert error < (1e-6 if dtype == np.float32 else 1e-13)


class TestAnyGeometry:
    @given(convolutions([1, 2, 3, 5, 16, 33, 65], 24), st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def test_agrees_with_the_patch_matrix(self, cpu, convolution, dtype, seed):
        check_any_geometry(cpu, convolution, dtype, seed)

    @given(convolutions([1, 3, 16, 33], 10), st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def test_agrees_with_the_patch_matrix_on_a_device(self, device, convolution, dtype, seed):
        check_any_geometry(device, convolution, dtype, seed)
