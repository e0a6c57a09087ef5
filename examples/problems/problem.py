"""What a test problem is: sums of powers of terms, with a start and with what its papers say about its minimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]

ALL, HEAD, TAIL = slice(None), slice(None, -1), slice(1, None)
PAIRS = (slice(0, None, 2), slice(1, None, 2))
"""Variables 1, 3, 5, ... and 2, 4, 6, ...: those of separate pairs."""
CHAIN = (HEAD, TAIL)
"""Pairs that overlap: every variable with the next one."""
QUADRUPLES = tuple(slice(k, None, 4) for k in range(4))
CHAINED_QUADRUPLES = (slice(0, -3, 2), slice(1, -2, 2), slice(2, -1, 2), slice(3, None, 2))
"""Four variables from each odd one on, of which two belong to the next quadruple."""


class Slope(NamedTuple):
    """Derivatives of some terms by some variables.

    ``place`` is one variable, or a slice of variables: of the k-th one for the k-th term, or of all of them for all
    terms if ``value`` is a matrix with a row per term. ``rows`` are the terms that are meant.
    """

    place: int | slice
    value: Vector | float
    rows: slice = ALL


class Terms(NamedTuple):
    """Some of the terms of a function, ``sum(weight * values ** power)``, and the derivatives of ``values``."""

    values: Vector
    slopes: Sequence[Slope]
    power: float = 2
    weight: Vector | float = 1.0


@dataclass(frozen=True, eq=False)
class Problem:
    """An unconstrained minimisation problem; call it for the value and the gradient.

    ``start_value`` is the value at ``start``, from a publication or computed from the published formula by hand;
    ``minima`` are the published values of its minima, the lowest first, to the digits that are published, and
    ``minimiser`` is a published point where the lowest is attained.
    """

    name: str
    terms: Callable[[Vector], Sequence[Terms]]
    start: Vector
    start_value: float
    reference: str
    minima: tuple[float, ...] = ()
    minimiser: Vector | None = None

    @property
    def n(self) -> int:
        """Number of variables."""
        return self.start.size

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Evaluate the function and its gradient.

        Parameters
        ----------
        x : float64 or complex128 array, shape (n,)
            Complex numbers give what the formulas continue to, for derivatives by complex steps.

        Returns
        -------
        value : float
        gradient : array like x
        """
        value, gradient = 0.0, np.zeros_like(x)
        for terms in self.terms(x):
            values = np.asarray(terms.values)
            value += np.sum(terms.weight * values**terms.power)
            factor = np.asarray(terms.power * terms.weight * values ** (terms.power - 1))
            for place, slope, rows in terms.slopes:
                inner = factor[rows] if factor.ndim else factor
                if isinstance(place, int):
                    gradient[place] += np.sum(inner * slope)
                else:
                    gradient[place] += inner @ slope if np.ndim(slope) == 2 else inner * slope
        return value, gradient


def repeated(pattern: Sequence[float], n: int) -> Vector:
    """Repeat a pattern up to a length.

    Parameters
    ----------
    pattern : sequence of float
    n : int

    Returns
    -------
    float64 array, shape (n,)
    """
    return np.resize(np.array(pattern, dtype=np.float64), n)


def counted(n: int, first: int = 1) -> Vector:
    """Count, as the indices of the formulas do.

    Parameters
    ----------
    n : int
        How many numbers.
    first : int

    Returns
    -------
    float64 array, shape (n,)
    """
    return np.arange(first, first + n, dtype=np.float64)
