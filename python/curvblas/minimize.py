"""Small drivers over the quasi-Newton kernels: functions that return a value and a gradient are minimised."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from ._arrays import Array
from ._line_search import Trial, line_search
from ._minimize import Function, Minimization, MinimizeResult, dot, reported
from .lbfgs import LBFGS
from .lsr1 import LSR1

__all__ = ["MinimizeResult", "minimize_lbfgs", "minimize_lsr1"]

Callback = Callable[[MinimizeResult], Any]


def minimize_lbfgs(
    fun: Function,
    x0: Array,
    *,
    memory: int = 10,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
    callback: Callback | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a function by L-BFGS with a line search for the strong Wolfe conditions.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> (value, gradient)``, the gradient an array like x. A value or gradient with NaN or Inf means that a
        step was too long. What it raises is raised.
    x0 : float32 or float64 array, shape (n,)
        Where to begin; not modified. Of any library whose arrays know ``+``, ``-`` and ``*``.
    memory : int >= 1
        Pairs that are kept.
    tolerance : float in [0, 1)
        The run has succeeded where ``|g| <= tolerance |g(x0)|``, in the Euclidean norm: units of f and x do not matter.
    max_iterations : int >= 1
        Steps.
    callback : callable, optional
        Called after each step with a `MinimizeResult`; the run ends where it returns True.
    progress : bool
        Show a line about where the run is. Needs rich.

    Returns
    -------
    MinimizeResult
        Of the last step, whose value is the lowest.

    Raises
    ------
    ValueError
        A shape that does not fit, a number out of range, or a value or gradient at x0 that is not finite.
    TypeError
        A dtype that does not fit.
    ModuleNotFoundError
        rich is wanted, and is not there.

    Notes
    -----
    Each step costs one direction of `LBFGS`, and mostly one evaluation. Where the line search finds no lower value, the
    pairs are forgotten, and the steepest descent is tried once. The first step has at most the length 1.

    Source: Liu and Nocedal 1989, On the limited memory BFGS method; Moré and Thuente 1994.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> found = cb.minimize_lbfgs(lambda x: (np.sum((x - 1) ** 4), 4 * (x - 1) ** 3), np.zeros(5))
    >>> found.success, bool(np.allclose(found.x, 1, atol=0.02))
    (True, True)
    """
    run = Minimization("minimize_lbfgs", fun, x0, tolerance, max_iterations, callback)
    method = LBFGS(x0.shape[0], memory=memory)
    with reported("minimize_lbfgs", progress, run) as report:
        while (status := run.has_ended()) is None:
            if (trial := _descend(run, method)) is None:
                return run.result(3)
            method.update(trial.point[0] - run.x, trial.point[1] - run.gradient)
            if run.go(trial):
                return run.result(2)
            report()
        return run.result(status)


def _descend(run: Minimization, method: LBFGS) -> Trial | None:
    """Return a lower point along the direction of the method, or else along the steepest descent."""
    while True:
        is_first = method.kept == 0
        direction = method.direction(run.gradient)
        trial = _search(run, direction, min(1.0, 1 / math.sqrt(run.square)) if is_first else 1.0)
        if trial is not None or is_first:
            return trial
        method.clear()


def _search(run: Minimization, direction: Array, step: float) -> Trial | None:
    start = Trial(0.0, run.value, dot(run.gradient, direction))
    return line_search(run.along(direction), start, step, run.rounding) if start.slope < 0 else None


def minimize_lsr1(
    fun: Function,
    x0: Array,
    *,
    memory: int = 10,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
    callback: Callback | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a function by L-SR1 in trust regions: negative curvature is made use of.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> (value, gradient)``, the gradient an array like x. A value or gradient with NaN or Inf means that a
        step was too long. What it raises is raised.
    x0 : float32 or float64 array, shape (n,)
        Where to begin; not modified. Of any library whose arrays know ``+``, ``-`` and ``*``.
    memory : int >= 1
        Pairs that are kept.
    tolerance : float in [0, 1)
        The run has succeeded where ``|g| <= tolerance |g(x0)|``, in the Euclidean norm: units of f and x do not matter.
    max_iterations : int >= 1
        Steps, of which those that are refused count, too.
    callback : callable, optional
        Called after each step with a `MinimizeResult`; the run ends where it returns True.
    progress : bool
        Show a line about where the run is. Needs rich.

    Returns
    -------
    MinimizeResult
        Of the last step that was taken.

    Raises
    ------
    ValueError
        A shape that does not fit, a number out of range, or a value or gradient at x0 that is not finite.
    TypeError
        A dtype that does not fit.
    ModuleNotFoundError
        rich is wanted, and is not there.

    Notes
    -----
    The first step is a line search along the steepest descent, and the first radius twice its length. Each further one
    costs a step of `LSR1` and one evaluation; pairs of refused steps are kept, too. gamma is the largest y.y / s.y of
    the last pairs. A step is taken if the value falls by more than 1e-5 of what the model predicts. The radius doubles
    where it falls by more than 3/4 and the step is longer than 0.8 radii, and is halved below 1/10.

    Source: Nocedal and Wright 2006, algorithm 6.2; the constants are those of Brust, Burdakov, Erway and Marcia's
    program for shape-changing SR1.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> def saddle(x):
    ...     return np.sum(x**4 / 4 - x**2 / 2), x**3 - x
    >>> found = cb.minimize_lsr1(saddle, np.array([1e-3, -2e-3, 3e-3]))
    >>> found.success, bool(np.allclose(abs(found.x), 1))
    (True, True)
    """
    run = Minimization("minimize_lsr1", fun, x0, tolerance, max_iterations, callback)
    method = LSR1(x0.shape[0], memory=memory)
    with reported("minimize_lsr1", progress, run) as report:
        if (status := run.has_ended()) is not None:
            return run.result(status)
        first = _search(run, -run.gradient, min(1.0, 1 / math.sqrt(run.square)))
        if first is None:
            return run.result(3)
        radius = 2 * first.step * math.sqrt(run.square)
        curvatures: deque[float] = deque(maxlen=memory)
        _update(method, curvatures, first.point[0] - run.x, first.point[1] - run.gradient)
        is_stopped = run.go(first)
        while not is_stopped:
            report()
            if (status := run.has_ended()) is not None:
                return run.result(status)
            step, predicted = _model_step(run, method, radius)
            length = math.sqrt(dot(step, step))
            if not length > run.rounding / 10 * math.sqrt(dot(run.x, run.x)):
                return run.result(3)
            trial = run.along(step)(1.0)
            ratio = _ratio(run, trial, predicted)
            if trial.is_finite:
                _update(method, curvatures, step, trial.point[1] - run.gradient)
            is_stopped = run.go(trial if ratio > _LEAST_RATIO else None)
            radius = _next_radius(radius, ratio, length)
        return run.result(2)


_LEAST_RATIO = 1e-5  # of the reduction and that of the model, for steps that are taken


def _update(method: LSR1, curvatures: deque[float], s: Array, y: Array) -> None:
    """Keep a pair; B without pairs has the largest of the last curvatures, of which the trust region sees enough."""
    product = dot(s, y)
    if method.update(s, y) and product > 0:
        curvatures.append(dot(y, y) / product)
        method.gamma = max(curvatures)


def _model_step(run: Minimization, method: LSR1, radius: float) -> tuple[Array, float]:
    found = method.step(run.gradient, radius)
    if not found.ok:  # no model of these pairs: go on without them
        method.clear()
        found = method.step(run.gradient, radius)
    return found.step, float(found.predicted_reduction)


def _ratio(run: Minimization, trial: Trial, predicted: float) -> float:
    """Return the reduction over that of the model, 1 where both are rounding."""
    if not trial.is_finite or not predicted > 0:
        return -math.inf
    rounding = run.rounding * abs(run.value)
    if abs(run.value - trial.value) <= rounding and predicted <= rounding:
        return 1.0
    return (run.value - trial.value) / predicted


def _next_radius(radius: float, ratio: float, length: float) -> float:
    if ratio > 0.75:
        return 2 * radius if length > 0.8 * radius else radius
    return radius if ratio >= 0.1 else radius / 2
