"""What the tests of convolutions share."""

import numpy as np

import oracle
from cases import spd


def factor(rng, channels, kernel_size, dtype=np.float64, *, bias=False):
    return spd(rng, channels * int(np.prod(kernel_size)) + bias, dtype)


def error_of(backend, C, inputs, kernel_size, **options):
    """Update C; return the relative error."""
    expected = oracle.update_conv_factors(C, inputs, kernel_size, **options)
    backend.update_conv_factors(C, inputs, kernel_size, **options)
    assert np.array_equal(C, np.swapaxes(C, -1, -2))
    return oracle.relative_error(C, expected)
