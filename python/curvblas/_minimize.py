"""What the minimisers have in common: the function with its counts, points, when to stop, the result."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ._arrays import Array, copied
from ._numbers import count, number
from ._progress import display
from .line_search import WolfeSearchResult, wolfe_search
from .low_rank import gram, gram_products

NOISE = 10  # units of rounding: a change of the value below this tells nothing
PATIENCE = 10  # iterations without progress after which rounding is what is left
RUNNING, CONVERGED, ROUNDING, LIMIT, FAILED, NOT_FINITE, STOPPED = -1, 0, 1, 2, 3, 4, 5
MESSAGES = {
    RUNNING: "running",
    CONVERGED: "the gradient is as small as was asked for",
    ROUNDING: "values and gradients no longer fall: rounding",
    LIMIT: "the limit on iterations is reached",
    FAILED: "no step decreases the value",
    NOT_FINITE: "value or gradient at the first point is not finite",
    STOPPED: "the callback has stopped it",
}


@dataclass(frozen=True, slots=True)
class MinimizeResult:
    """What a minimiser has found, with the names of `scipy.optimize.OptimizeResult`.

    Attributes
    ----------
    x : array, shape (n,)
        The best point, in the library and dtype of the first one.
    fun : float
        The value there.
    jac : array, shape (n,)
        The gradient there.
    nit, nfev, njev : int
        Iterations, and evaluations of the value and of the gradient, which are always as many.
    status : int
        -1 still running (what callbacks see); 0 the gradient is as small as was asked for; 1 values and gradients no
        longer fall: rounding; 2 the limit on iterations; 3 no step decreases the value; 4 value or gradient at the
        first point is not finite; 5 stopped by the callback.
    success : bool
        Whether the status is 0 or 1.
    message : str
        The status in words.
    """

    x: Array
    fun: float
    jac: Array
    nit: int
    nfev: int
    njev: int
    status: int
    success: bool
    message: str


class Point(NamedTuple):
    """A point with value, gradient and the norm of the gradient."""

    x: Array
    value: float
    gradient: Array
    norm: float

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
        NaN or Inf where an element is, or squares overflow.
    """
    return math.sqrt(float(gram(vector.reshape(1, -1))[0, 0]))


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

    def __call__(self, x: Array) -> Point:
        """Evaluate at a point, which belongs to the result from then on.

        Parameters
        ----------
        x : array, shape (n,)
            The point.

        Returns
        -------
        Point
            With a copy of the gradient, as functions may return one array again and again.

        Raises
        ------
        ValueError
            A gradient that is not like x.
        """
        value, gradient = self._fun(x)
        self.evaluations += 1
        if _kind(gradient) != self._kind:
            expected, found = (f"{dtype} of shape {shape}" for shape, dtype in (self._kind, _kind(gradient)))
            raise ValueError(f"{self.owner}: the gradient that fun returns must be {expected} as x0 is, got {found}")
        gradient = own(gradient)
        return Point(x, float(value.detach() if hasattr(value, "detach") else value), gradient, norm(gradient))

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
    return copied(array.detach() if hasattr(array, "detach") else array)


def search(objective: Objective, point: Point, direction: Array, step: float) -> tuple[WolfeSearchResult, Point]:
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
        latest = objective(point.x + step * direction)
        if latest.is_finite and latest.value < lowest.value:
            lowest = latest
        return (latest.value if latest.is_finite else math.nan), inner(latest.gradient, direction)

    slope = inner(point.gradient, direction)
    result = wolfe_search(phi, point.value, slope, step=step, rounding=objective.rounding)
    return result, latest if result.satisfied else lowest


def minimize(
    objective: Objective,
    iterates: Iterator[Point | int],
    *,
    gtol: float,
    atol: float,
    max_iterations: int,
    callback: Callable[[MinimizeResult], Any] | None,
    progress: bool,
) -> MinimizeResult:
    """Go through the iterates of a method until it is time to stop.

    Parameters
    ----------
    objective : Objective
        The function.
    iterates : iterator of Point or int
        The first point and that after every iteration; a method that cannot go on gives the status that tells why.
    gtol, atol, max_iterations, callback, progress
        As for the minimisers.

    Returns
    -------
    MinimizeResult
        Of the last point.
    """
    owner = objective.owner
    gtol = number(owner, "gtol", gtol, lambda value: 0 <= value < math.inf, "a number >= 0")
    atol = number(owner, "atol", atol, lambda value: 0 <= value < math.inf, "a number >= 0")
    limit = count(owner, "max_iterations", max_iterations)
    with display(owner, limit) if progress else nullcontext(_show_nothing) as show:
        point = next(iterates)
        assert isinstance(point, Point)
        watch = Watch(objective, point, max(gtol * point.norm, atol), limit)
        while (status := watch.status(point)) == RUNNING:
            if callback is not None and watch.iterations and callback(_result(objective, watch, point, RUNNING)):
                return _result(objective, watch, point, STOPPED)
            following = next(iterates)
            if isinstance(following, int):
                return _result(objective, watch, point, following)
            point = following
            watch.iterations += 1
            show(watch.iterations, point)
        return _result(objective, watch, watch.best if status == ROUNDING else point, status)


class Watch:
    """When to stop.

    Parameters
    ----------
    objective : Objective
        The function.
    first : Point
        The first one.
    tolerance : float
        For the norm of the gradient.
    limit : int
        For the iterations.
    """

    def __init__(self, objective: Objective, first: Point, tolerance: float, limit: int) -> None:
        self._objective, self._tolerance, self._limit = objective, tolerance, limit
        self.iterations = 0
        self.best = self._reference = self._latest = first
        self._idle = 0

    def status(self, point: Point) -> int:
        """Look at the next point.

        Parameters
        ----------
        point : Point
            The point.

        Returns
        -------
        int
            ``RUNNING``, or why it is the last one.
        """
        if not point.is_finite:
            return NOT_FINITE
        if point.norm <= self._tolerance:
            return CONVERGED
        if point is not self._latest:
            self._note_progress(point)
        if self._idle >= PATIENCE:
            return ROUNDING
        return LIMIT if self.iterations >= self._limit else RUNNING

    def _note_progress(self, point: Point) -> None:
        reference = self._reference
        has_fallen = point.value < reference.value - self._objective.noise(reference.value)
        if has_fallen or point.norm < self.best.norm:
            self.best = point
        if has_fallen or point.norm <= 0.5 * reference.norm:
            self._reference, self._idle = point, 0
        else:
            self._idle += 1
        self._latest = point


def _result(objective: Objective, watch: Watch, point: Point, status: int) -> MinimizeResult:
    evaluations = objective.evaluations
    x, value, gradient, _ = point
    is_success = status in {CONVERGED, ROUNDING}
    return MinimizeResult(
        x, value, gradient, watch.iterations, evaluations, evaluations, status, is_success, MESSAGES[status]
    )


def _kind(array: Any) -> tuple[tuple[int, ...], str]:
    dtype = str(getattr(array, "dtype", type(array).__name__)).rpartition(".")[-1]
    return tuple(getattr(array, "shape", ())), dtype


def _show_nothing(iteration: int, point: Point) -> None:
    pass
