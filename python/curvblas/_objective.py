"""A function to be minimised, its points, and searches along lines."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._arrays import Array, copied
from .line_search import NOISE, WolfeSearchResult, wolfe_search
from .low_rank import gram, gram_products

_SMALLEST, _SCALE = 2.0**-960, 2.0**500  # squares below lose digits


class Point(NamedTuple):
    """A point with value, gradient, the norm of the gradient, and the slope along the line that it was found on."""

    x: Array
    value: float
    gradient: Array
    norm: float
    slope: float = math.nan

    @property
    def is_finite(self) -> bool:
        """Whether value and gradient are."""
        return math.isfinite(self.value) and math.isfinite(self.norm)


def norm(vector: Array) -> float:
    """Return the Euclidean norm, squares formed and summed in float64.

    Parameters
    ----------
    vector : array, shape (n,)
        Of any library.

    Returns
    -------
    float
        NaN or Inf where an element is, or squares overflow; where they vanish, they are formed of a vector that is
        scaled, so that a norm is 0 only of zeros.
    """
    return _root(float(gram(vector.reshape(1, -1))[0, 0]), vector)


def _root(square: float, vector: Array) -> float:
    if square < _SMALLEST and str(vector.dtype).endswith("float64"):
        return math.sqrt(float(gram((vector * _SCALE).reshape(1, -1))[0, 0])) / _SCALE
    return math.sqrt(square)


def inner(a: Array, b: Array) -> float:
    """Return the inner product, formed and summed in float64.

    Parameters
    ----------
    a, b : arrays, shape (n,)
        Of any library.

    Returns
    -------
    float
        a.b.
    """
    return float(gram_products(a.reshape(1, -1), b)[1][0])


class Objective:
    """The function to be minimised: checked, its gradients copied, its evaluations counted.

    Parameters
    ----------
    owner : str
        The minimiser, named in errors.
    fun : callable
        ``fun(x)`` gives value and gradient.
    x0 : array, shape (n,)
        The first point.
    """

    def __init__(self, owner: str, fun: Callable[[Array], tuple[Any, Array]], x0: Array) -> None:
        self.owner, self._fun, self.evaluations = owner, fun, 0
        self._kind = _kind(x0)
        if len(self._kind[0]) != 1 or not math.prod(self._kind[0]) or self._kind[1] not in {"float32", "float64"}:
            found = f"{self._kind[1]} of shape {self._kind[0]}"
            raise ValueError(f"{owner}: x0 must be a float32 or float64 array of shape (n,), got {found}")
        self.rounding = float(np.finfo(self._kind[1]).eps)
        self.size = self._kind[0][0]

    def __call__(self, x: Array, direction: Array | None = None) -> Point:
        """Evaluate at a point, which belongs to the result from then on.

        Parameters
        ----------
        x : array, shape (n,)
            The point.
        direction : array, shape (n,), optional
            Of the line that it is on.

        Returns
        -------
        Point
            With a copy of the gradient, as functions may return one array again and again.

        Raises
        ------
        ValueError
            A gradient that is not like x.
        """
        value, gradient = self._fun(own(x))
        self.evaluations += 1
        is_like_x = type(gradient) is type(x) is np.ndarray and gradient.dtype == x.dtype and gradient.shape == x.shape
        if not is_like_x and _kind(gradient) != self._kind:
            expected, found = (f"{dtype} of shape {shape}" for shape, dtype in (self._kind, _kind(gradient)))
            raise ValueError(f"{self.owner}: the gradient that fun returns must be {expected} as x0 is, got {found}")
        gradient = own(gradient)
        number = float(value.detach() if hasattr(value, "detach") else value)
        if direction is None:
            return Point(x, number, gradient, norm(gradient))
        squares, products = gram_products(gradient.reshape(1, -1), direction)
        return Point(x, number, gradient, _root(float(squares[0, 0]), gradient), float(products[0]))

    def noise(self, value: float) -> float:
        """Return the change of a value that rounding alone may make.

        Parameters
        ----------
        value : float
            The value.

        Returns
        -------
        float
            Not negative.
        """
        return NOISE * self.rounding * abs(value)


def own(array: Array) -> Array:
    """Return a copy of an array without the graph of its derivatives.

    Parameters
    ----------
    array : array
        Of any library.

    Returns
    -------
    array
        Which shares nothing with it.
    """
    if isinstance(array, np.ndarray):
        return array.copy()
    return copied(array.detach() if hasattr(array, "detach") else array)


def search(
    objective: Objective, point: Point, direction: Array, step: float, *, c2: float = 0.9
) -> tuple[WolfeSearchResult, Point]:
    """Search along a direction.

    Parameters
    ----------
    objective : Objective
        The function.
    point : Point
        Where the line begins.
    direction : array, shape (n,)
        The line.
    step : float
        The first step, in units of the direction.
    c2 : float in (0, 1)
        Share of the slope that may be left, as for `wolfe_search`.

    Returns
    -------
    result : WolfeSearchResult
        Of the search.
    point : Point
        At its step; the first one if that is 0.
    """
    latest = lowest = point

    def phi(step: float) -> tuple[float, float]:
        nonlocal latest, lowest
        latest = objective(point.x + step * direction, direction)
        is_finite = latest.is_finite
        if is_finite and latest.value < lowest.value:
            lowest = latest
        return (latest.value if is_finite else math.nan), latest.slope

    slope = inner(point.gradient, direction)
    c1 = min(1e-4, c2)
    result = wolfe_search(phi, point.value, slope, step=step, c1=c1, c2=c2, rounding=objective.rounding)
    return result, latest if result.satisfied else lowest


def _kind(array: Any) -> tuple[tuple[int, ...], str]:
    dtype = str(getattr(array, "dtype", type(array).__name__)).rpartition(".")[-1]
    return tuple(getattr(array, "shape", ())), dtype
