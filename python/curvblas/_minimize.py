"""What the minimisers have in common: when to stop, the result."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from ._arrays import Array
from ._numbers import count, number
from ._objective import Objective, Point
from ._progress import display

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


def minimize(
    objective: Objective,
    iterates: Iterator[Point | int],
    *,
    rtol: float,
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
    rtol, atol, max_iterations, callback, progress
        As for the minimisers.

    Returns
    -------
    MinimizeResult
        Of the last point; where rounding ends the run, of the one of the smallest gradient.
    """
    owner = objective.owner
    rtol = number(owner, "rtol", rtol, lambda value: 0 <= value < math.inf, "a number >= 0")
    atol = number(owner, "atol", atol, lambda value: 0 <= value < math.inf, "a number >= 0")
    limit = count(owner, "max_iterations", max_iterations)
    with display(owner, limit) if progress else nullcontext(_show_nothing) as show:
        point = _next(iterates)
        assert isinstance(point, Point)
        watch = Watch(objective, point, max(rtol * point.norm, atol), limit)
        while (status := watch.status(point)) == RUNNING:
            if callback is not None and watch.iterations and callback(_result(objective, watch, point, RUNNING)):
                return _result(objective, watch, point, STOPPED)
            following = _next(iterates)
            if isinstance(following, int):
                status = following
                break
            point = following
            watch.iterations += 1
            show(watch.iterations, point)
        return _result(objective, watch, watch.best if status == ROUNDING else point, status)


def _next(iterates: Iterator[Point | int]) -> Point | int:
    """Return the next iterate; a StopIteration of the function passes through a generator as RuntimeError."""
    try:
        return next(iterates)
    except RuntimeError as error:
        if isinstance(error.__cause__, StopIteration):
            raise error.__cause__ from None
        raise


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
    is_success, message = status in {CONVERGED, ROUNDING}, MESSAGES[status]
    counts = watch.iterations, evaluations, evaluations
    return MinimizeResult(point.x, point.value, point.gradient, *counts, status, is_success, message)


def _show_nothing(iteration: int, point: Point) -> None:
    pass
