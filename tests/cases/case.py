"""A row of the table: how to make a kernel's arguments, how to call it, and what it should give."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


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
