"""What the minimisers have in common: counted evaluations, results, stopping, progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arrays import Array
from ._line_search import Trial
from ._numbers import count, number
from .low_rank import gram_products

Function = Callable[[Array], tuple[Any, Array]]


@dataclass(frozen=True, slots=True)
class MinimizeResult:
    """What a minimiser found: the fields of ``scipy.optimize.OptimizeResult``.

    Attributes
    ----------
    x : array, shape (n,)
        The point with the lowest value that was found.
    fun : float
        The value there.
    jac : array, shape (n,)
        The gradient there.
    nit, nfev, njev : int
        Steps that were taken, and evaluations of value and gradient, which come together.
    status : int
        0 the gradient is small enough, 1 ``max_iterations`` steps, 2 the callback returned True, 3 no lower value was
        found: mostly because rounding allows none.
    success : bool
        Whether the status is 0.
    message : str
        The same in words.
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


class Minimization:
    """A run: where it is, what it has cost, and why it ended.

    Parameters
    ----------
    name : str
        The function that the user called, named in errors.
    fun, x0, tolerance, max_iterations, callback
        As the user gave them.
    """

    def __init__(
        self, name: str, fun: Function, x0: Array, tolerance: float, max_iterations: int, callback: Any
    ) -> None:
        if len(getattr(x0, "shape", ())) != 1 or x0.shape[0] == 0:
            raise ValueError(
                f"{name}: x0 must have shape (n,) with n > 0, got {getattr(x0, 'shape', type(x0).__name__)}"
            )
        self._name, self._fun, self._callback = name, fun, callback
        self._tolerance = number(name, "tolerance", tolerance, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self._most = count(name, "max_iterations", max_iterations)
        self.x, self.evaluations, self.steps = x0, 0, 0
        self.value, self.gradient = self.evaluate(x0)
        self.square = dot(self.gradient, self.gradient)
        if not math.isfinite(self.value) or not math.isfinite(self.square):
            raise ValueError(
                f"{name}: fun must be finite at x0, got {self.value} and a gradient of square {self.square}"
            )
        self._first_square = self.square
        self.rounding = 10 * float(np.finfo(str(x0.dtype).rpartition(".")[-1]).eps)

    def evaluate(self, x: Array) -> tuple[float, Array]:
        """Return value and gradient at x."""
        self.evaluations += 1
        value, gradient = self._fun(x)
        if tuple(getattr(gradient, "shape", ())) != tuple(x.shape):
            raise ValueError(
                f"{self._name}: fun must return a gradient of shape {tuple(x.shape)}, got "
                f"{getattr(gradient, 'shape', type(gradient).__name__)}"
            )
        return float(value), gradient

    def along(self, direction: Array) -> Callable[[float], Trial]:
        """Return the function along a line from here, for the line search."""

        def at(step: float) -> Trial:
            x = self.x + step * direction
            value, gradient = self.evaluate(x)
            return Trial(step, value, dot(gradient, direction), (x, gradient))

        return at

    def go(self, trial: Trial | None) -> bool:
        """Take a step, or none; returns whether the callback wants to stop."""
        if trial is not None:
            (self.x, self.gradient), self.value = trial.point, trial.value
            self.square = dot(self.gradient, self.gradient)
        self.steps += 1
        return self._callback is not None and self._callback(self.result(1)) is True

    def has_ended(self) -> int | None:
        """Return the status of a run that is to end here, else None."""
        if self.square <= self._tolerance**2 * self._first_square:
            return 0
        return 1 if self.steps >= self._most else None

    def result(self, status: int) -> MinimizeResult:
        """Return what is known."""
        messages = (
            f"the norm of the gradient fell to {self._tolerance} times that at x0",
            f"{self.steps} steps were taken",
            "the callback returned True",
            "no lower value was found along the last direction",
        )
        counts = self.steps, self.evaluations, self.evaluations
        return MinimizeResult(self.x, self.value, self.gradient, *counts, status, status == 0, messages[status])


def dot(a: Array, b: Array) -> float:
    """Return a.b, formed in float64."""
    return float(gram_products(a[None], b)[1][0])


@contextmanager
def reported(name: str, is_wanted: bool, run: Minimization) -> Iterator[Callable[[], None]]:
    """Give a function that shows where a run is; it does nothing if that is not wanted."""
    if not is_wanted:
        yield lambda: None
        return
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{name}: progress=True needs rich: pip install 'curvblas[demo]'") from None
    with Console().status(name) as shown:

        def report() -> None:
            norm = math.sqrt(run.square)
            shown.update(
                f"{name}: {run.steps} steps, {run.evaluations} evaluations, f = {run.value:.8g}, |g| = {norm:.2e}"
            )

        yield report
