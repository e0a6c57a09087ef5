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
    written: str | None = None
    """The argument that is updated in place."""
    optional: tuple[str, ...] = ()
    emulated_sizes: tuple[int, ...] | None = None
    """The sizes that are worth the time of the emulator, where they are not all."""

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


def _precondition(rng, n, dtype):
    m = n + 2
    return {
        "grads": rng.standard_normal((m, n)).astype(dtype),
        "A_inv": rng.standard_normal((n, n)).astype(dtype),
        "G_inv": rng.standard_normal((m, m)).astype(dtype),
    }


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
        "damped_inverse",
        lambda rng, n, dtype: {"factors": spd(rng, n, dtype)},
        lambda on, factors, **options: on.damped_inverse(factors, 0.1, **options).inverse,
        lambda factors: oracle.damped_inverse(factors, 0.1),
        "factors",
        optional=("out",),
    ),
    Case(
        "precondition",
        _precondition,
        lambda on, **given: on.precondition(**given),
        oracle.precondition,
        "grads",
        optional=("out",),
    ),
]
