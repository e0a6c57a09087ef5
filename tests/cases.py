"""One row per kernel: how to make its arguments for a list of sizes, how to call it, and what it should give.

`test_contract.py` runs the same claims over all rows. Adding a kernel means adding a row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import oracle


def spd(rng, n, dtype):
    """Return a well-conditioned symmetric matrix."""
    X = rng.standard_normal((2 * n + 3, n))
    return (X.T @ X / (2 * n + 3) + 0.1 * np.eye(n)).astype(dtype)


@dataclass(frozen=True)
class Case:
    """A kernel seen as a function of a group: `arguments` are lists with one entry per matrix."""

    name: str
    arguments: Callable[[np.random.Generator, int, Any], dict[str, np.ndarray]]
    call: Callable[..., Any]
    """Takes a backend, or the package itself, and the arguments."""
    oracle: Callable[..., np.ndarray]
    first: str
    """The argument that decides about form and library."""
    written: str | tuple[str, ...] = ()
    """The argument that is updated in place, or several."""
    optional: tuple[str, ...] = ()
    wrong_shape: tuple[int, ...] = (5, 9)
    """A shape that none of the arguments may have."""
    sizes: tuple[int, ...] | None = None
    """The sizes that the oracle can do in seconds, where they are not all."""
    emulated_sizes: tuple[int, ...] | None = None
    """The sizes that are worth the time of the emulator, where they are not all."""

    def writes(self, name):
        """Tell whether an argument is updated in place."""
        return name in ([self.written] if isinstance(self.written, str) else self.written)

    def make(self, rng, sizes, dtype):
        """Return the arguments as lists, one entry for each size."""
        made = [self.arguments(rng, n, dtype) for n in sizes]
        return {name: [m[name] for m in made] for name in made[0]} if made else {}


def _update_factors(rng, n, dtype):
    N = 3 + n % 5
    return {"factors": spd(rng, n, dtype), "rows": rng.standard_normal((N, n)).astype(dtype)}


def _update_long(rng, n, dtype):
    # Enough rows for the sum over rows to be split between threads.
    return {"factors": spd(rng, n, dtype), "rows": rng.standard_normal((6000, n)).astype(dtype)}


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


def _separated(rng, n, dtype):
    # Eigenvalues 1, 2, ..., n: far enough apart for the vectors to be known, too.
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return {"factors": ((Q * np.arange(1.0, n + 1)) @ Q.T).astype(dtype)}


def _inverse_free(rng, n, dtype):
    q = n + 2
    return {
        "K": np.eye(n, dtype=dtype) + spd(rng, n, dtype) / 4,
        "C": np.eye(q, dtype=dtype) + spd(rng, q, dtype) / 4,
        "A": spd(rng, n, dtype),
        "G": spd(rng, q, dtype),
        "K_momentum": spd(rng, n, dtype),
        "C_momentum": spd(rng, q, dtype),
    }


def _warm_inverse(rng, n, dtype):
    C = spd(rng, n, dtype)
    earlier = oracle.damped_inverse((1.01 * C.astype(np.float64)).astype(dtype), 0.1)
    return {"factors": C, "warm_start": earlier.astype(dtype)}


def _update_inverse_free(on, **given):
    return on.update_inverse_free(**given, damping=0.1, step=0.1)[0]


def _precondition(rng, n, dtype):
    m = n + 2
    return {
        "grads": rng.standard_normal((m, n)).astype(dtype),
        "A_inv": rng.standard_normal((n, n)).astype(dtype),
        "G_inv": rng.standard_normal((m, m)).astype(dtype),
    }


def _triangular(rng, n, dtype):
    L = np.linalg.cholesky(spd(rng, n, np.float64)).astype(dtype) + np.triu(np.ones((n, n), dtype), 1)
    return {"factors": L, "rhs": rng.standard_normal((n, 1 + n % 5 + 30 * (n > 60))).astype(dtype)}


def _precondition_eigen(rng, n, dtype):
    given = _precondition(rng, n, dtype)
    S = 0.1 + rng.random(given["grads"].shape).astype(dtype)
    return {"grads": given["grads"], "A_basis": given["A_inv"], "G_basis": given["G_inv"], "second_moments": S}


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


def _update_conv(offsets, *size):
    """Return the arguments for so many kernel offsets; n is about the side of the factor."""

    def arguments(rng, n, dtype):
        channels = max(n // offsets, 1)
        return {
            "factors": spd(rng, offsets * channels, dtype),
            "inputs": rng.standard_normal((6, channels, *size)).astype(dtype),
        }

    return arguments


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
        "factored_damping",
        lambda rng, n, dtype: {"A": spd(rng, n, dtype), "G": spd(rng, n + 1, dtype)},
        lambda on, A, G: on.factored_damping(A, G, 0.01)[0],
        lambda A, G: oracle.factored_damping(A, G, 0.01)[0],
        "A",
    ),
    Case(
        "update_inverse_free",
        _inverse_free,
        _update_inverse_free,
        lambda **given: oracle.update_inverse_free(**given, damping=0.1, step=0.1)[0],
        "K",
        ("K", "C", "K_momentum", "C_momentum"),
    ),
    Case(
        "damped_inverse",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors, **options: on.damped_inverse(factors, 0.1, **options).inverse,
        lambda factors: oracle.damped_inverse(factors, 0.1),
        "factors",
        optional=("out",),
    ),
    Case(
        "damped_inverse, newton",
        _warm_inverse,
        lambda on, **given: on.damped_inverse(**given, damping=0.1, method="newton").inverse,
        lambda factors, warm_start: oracle.damped_inverse(factors, 0.1),
        "factors",
        optional=("out",),
        emulated_sizes=(1, 2, 33, 70),
    ),
    Case(
        "eigenbasis",
        _separated,
        lambda on, factors: on.eigenbasis(factors).vectors,
        lambda factors: oracle.eigenbasis(factors)[1],
        "factors",
        emulated_sizes=(1, 2, 7, 31, 33, 65, 130),
    ),
    Case(
        "precondition",
        _precondition,
        lambda on, **given: on.precondition(**given),
        oracle.precondition,
        "grads",
        optional=("out",),
    ),
    Case(
        "damped_cholesky",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors, **options: on.damped_cholesky(factors, 0.1, **options).factor,
        lambda factors: oracle.damped_cholesky(factors, 0.1),
        "factors",
        optional=("out",),
    ),
    Case(
        "triangular_solve",
        _triangular,
        lambda on, **given: on.triangular_solve(**given),
        oracle.triangular_solve,
        "factors",
        optional=("out",),
    ),
    Case(
        "triangular_solve, transposed",
        _triangular,
        lambda on, **given: on.triangular_solve(**given, transpose=True),
        lambda **given: oracle.triangular_solve(**given, transpose=True),
        "factors",
        optional=("out",),
    ),
    Case(
        "cholesky_solve",
        _triangular,
        lambda on, **given: on.cholesky_solve(**given),
        oracle.cholesky_solve,
        "factors",
        optional=("out",),
    ),
    Case(
        "inverse_root",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors: on.inverse_root(factors, 4, 0.1).root,
        lambda factors: oracle.inverse_root(factors, 4, 0.1),
        "factors",
    ),
    Case(
        "inverse_root, newton",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors: on.inverse_root(factors, 3, 0.1, method="newton").root,
        lambda factors: oracle.inverse_root(factors, 3, 0.1),
        "factors",
        emulated_sizes=(1, 2, 33, 70),
    ),
    Case(
        "newton_schulz",
        lambda rng, n, dtype: {"matrices": rng.standard_normal((n, n // 2 + 4)).astype(dtype)},
        lambda on, **given: on.newton_schulz(**given, steps=2),
        lambda **given: oracle.newton_schulz(**given, steps=2),
        "matrices",
        wrong_shape=(9,),
    ),
    Case(
        "precondition_with_inner",
        _precondition,
        lambda on, **given: on.precondition_with_inner(**given).product,
        oracle.precondition,
        "grads",
        optional=("out",),
    ),
    Case(
        "precondition_eigen",
        _precondition_eigen,
        lambda on, **given: on.precondition_eigen(**given, damping=0.1),
        lambda grads, A_basis, G_basis, second_moments: oracle.precondition_eigen(
            grads, A_basis, G_basis, 0.1, second_moments
        ),
        "grads",
        optional=("out",),
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
]
