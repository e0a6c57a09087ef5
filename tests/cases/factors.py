"""Rows of the factors: their averages, their diagonals in a basis, their packed form."""

import numpy as np

import oracle
from cases.case import Case, spd


def _update_factors(rng, n, dtype):
    N = 3 + n % 5
    return {"factors": spd(rng, n, dtype), "rows": rng.standard_normal((N, n)).astype(dtype)}


def _update_long(rng, n, dtype):
    # Enough rows for the sum over rows to be split between threads.
    return {"factors": spd(rng, n, dtype), "rows": rng.standard_normal((6000, n)).astype(dtype)}


def _update_conv(offsets, *size):
    """Return the arguments for so many kernel offsets; n is about the side of the factor."""

    def arguments(rng, n, dtype):
        channels = max(n // offsets, 1)
        return {
            "factors": spd(rng, offsets * channels, dtype),
            "inputs": rng.standard_normal((6, channels, *size)).astype(dtype),
        }

    return arguments


def _ekfac_moments(rng, n, dtype, N=None, T=None):
    q, N = n + 1, N or 3 + n % 5
    inner = (N,) if T is None else (N, T)
    return {
        "second_moments": rng.random((q, n)).astype(dtype),
        "A_rows": rng.standard_normal((*inner, n)).astype(dtype),
        "G_rows": rng.standard_normal((*inner, q)).astype(dtype),
        "A_basis": rng.standard_normal((n, n)).astype(dtype),
        "G_basis": rng.standard_normal((q, q)).astype(dtype),
    }


def _lagged_factors(rng, n, dtype, N=2, T=None):
    return {
        "factors": rng.standard_normal((n, n)).astype(dtype),
        "rows": rng.standard_normal((N, T or 2 + n % 5, n)).astype(dtype),
    }


def _factors(rng, n, dtype):
    # Not symmetric: what is above the diagonal may not be read.
    return {"factors": rng.standard_normal((n, n)).astype(dtype)}


def _pack(on, factors):
    """Return the packed form of each matrix, in the form of the group."""
    flat = on.pack_symmetric(factors)
    if not isinstance(factors, list):
        *leading, n, _ = factors.shape
        return flat.reshape(*leading, n * (n + 1) // 2)
    ends = np.cumsum([len(C) * (len(C) + 1) // 2 for C in factors], dtype=int)
    return [flat[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _pack_and_unpack(on, factors):
    flat = on.pack_symmetric(factors)
    if isinstance(factors, list):
        return on.unpack_symmetric(flat, [len(C) for C in factors])
    return on.unpack_symmetric(flat, factors.shape[-1], out=np.empty(factors.shape, factors.dtype))


CASES = [
    Case(
        "update_factors",
        _update_factors,
        lambda on, **given: on.update_factors(**given),
        oracle.update_factors,
        "factors",
        "factors",
    ),
    Case(
        "update_factors, many rows",
        _update_long,
        lambda on, **given: on.update_factors(**given),
        oracle.update_factors,
        "factors",
        "factors",
        emulated_sizes=(2, 65),
    ),
    Case(
        "update_conv_factors",
        _update_conv(5, 40),
        lambda on, **given: on.update_conv_factors(**given, kernel_size=5, padding=2),
        lambda **given: oracle.update_conv_factors(**given, kernel_size=5, padding=2),
        "factors",
        "factors",
    ),
    Case(
        "update_conv_factors, stride 2",
        _update_conv(6, 7, 8),
        lambda on, **given: on.update_conv_factors(**given, kernel_size=(3, 2), stride=2),
        lambda **given: oracle.update_conv_factors(**given, kernel_size=(3, 2), stride=2),
        "factors",
        "factors",
    ),
    Case(
        "update_ekfac_moments",
        _ekfac_moments,
        lambda on, **given: on.update_ekfac_moments(**given),
        oracle.update_ekfac_moments,
        "second_moments",
        "second_moments",
    ),
    Case(
        "update_ekfac_moments, many cases",
        lambda rng, n, dtype: _ekfac_moments(rng, n, dtype, N=4200),
        lambda on, **given: on.update_ekfac_moments(**given),
        oracle.update_ekfac_moments,
        "second_moments",
        "second_moments",
        sizes=(1, 2, 31, 33, 65),
        emulated_sizes=(2, 33),
    ),
    Case(
        "update_ekfac_moments, shared weights",
        # Up to n = 20 the sum over positions comes first, above it the projection.
        lambda rng, n, dtype: _ekfac_moments(rng, n, dtype, T=20),
        lambda on, **given: on.update_ekfac_moments(**given),
        oracle.update_ekfac_moments,
        "second_moments",
        "second_moments",
        emulated_sizes=(1, 2, 7, 33, 70),
    ),
    Case(
        "update_lagged_factors",
        _lagged_factors,
        lambda on, **given: on.update_lagged_factors(**given),
        oracle.update_lagged_factors,
        "factors",
        "factors",
    ),
    Case(
        "update_lagged_factors, many rows",
        lambda rng, n, dtype: _lagged_factors(rng, n, dtype, N=60, T=100),
        lambda on, **given: on.update_lagged_factors(**given),
        oracle.update_lagged_factors,
        "factors",
        "factors",
        emulated_sizes=(2, 65),
    ),
    Case(
        "pack_symmetric",
        _factors,
        _pack,
        oracle.pack_symmetric,
        "factors",
    ),
    Case(
        "unpack_symmetric",
        _factors,
        _pack_and_unpack,
        lambda factors: oracle.symmetric(factors),
        "factors",
    ),
]
