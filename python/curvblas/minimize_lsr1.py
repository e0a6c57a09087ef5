"""Minimisation by limited-memory SR1 in a trust region."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from ._arrays import Array
from ._minimize import FAILED, MinimizeResult, Objective, Point, minimize, norm, own, search
from ._numbers import count
from .lsr1 import LSR1

__all__ = ["minimize_lsr1"]


def minimize_lsr1(
    fun: Callable[[Array], tuple[Any, Array]],
    x0: Array,
    *,
    memory: int = 10,
    gtol: float = 1e-5,
    atol: float = 0.0,
    max_iterations: int = 1000,
    callback: Callable[[MinimizeResult], Any] | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a smooth function by limited-memory SR1: exact trust-region steps of models with negative curvature.

    Parameters
    ----------
    fun, x0, memory, gtol, atol, max_iterations, callback, progress
        As for `minimize_lbfgs`; an iteration is one step, taken or not.

    Returns
    -------
    MinimizeResult
        x, value, gradient, counts, status. A value or gradient at x0 that is not finite is a status.

    Raises
    ------
    ValueError
        An x0, a gradient or a number that does not fit.
    TypeError
        A number of another type.
    ModuleNotFoundError
        ``progress=True`` without rich.

    Notes
    -----
    The first step is one of steepest descent with a line search, the first radius is twice its length. A step p is
    taken if the value falls by more than 1e-5 of what the model predicts. The radius doubles where it is more than
    0.75 of that and ``|p| > 0.8 radius``, and halves where it is less than 0.1. Pairs are kept from steps that
    are not taken, too. Where rounding is all that is left of both changes, the step is taken.

    Source: Nocedal and Wright 2006, Numerical optimization, algorithm 6.2; Brust, Erway and Marcia 2017.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> found = cb.minimize_lsr1(lambda x: (np.sum(x**4 / 4 - x**2 / 2), x**3 - x), np.full(5, 1e-3), gtol=1e-8)
    >>> found.success, bool(np.allclose(found.x, 1))
    (True, True)
    """
    objective = Objective("minimize_lsr1", fun, x0)
    # More pairs than variables depend on each other.
    method = LSR1(objective.size, memory=min(count("minimize_lsr1", "memory", memory), objective.size))
    iterates = _iterates(objective, own(x0), method)
    return minimize(
        objective,
        iterates,
        gtol=gtol,
        atol=atol,
        max_iterations=max_iterations,
        callback=callback,
        progress=progress,
    )


def _iterates(objective: Objective, x0: Array, method: LSR1) -> Iterator[Point | int]:
    point = objective(x0)
    yield point
    _, following = search(objective, point, -point.gradient, min(1.0, 1.0 / point.norm))
    if following is point:
        yield FAILED
    step = following.x - point.x
    radius = 2 * norm(step)
    method.update(step, following.gradient - point.gradient)
    point = following
    yield point
    while True:
        model = method.step(point.gradient, radius)
        if not bool(model.ok) and method.kept:
            method.clear()
            continue
        if not (bool(model.ok) and 0 < radius < math.inf):
            yield FAILED
        trial = objective(point.x + model.step)
        length = norm(model.step)
        ratio = _ratio(objective, point, trial, float(model.predicted_reduction))
        if trial.is_finite:
            method.update(model.step, trial.gradient - point.gradient)
        if ratio > 0.75:
            radius *= 2 if length > 0.8 * radius else 1
        elif not ratio >= 0.1:
            radius = 0.5 * min(radius, length)
        if ratio > 1e-5:
            point = trial
        yield point


def _ratio(objective: Objective, point: Point, trial: Point, predicted: float) -> float:
    """Return the decrease of the value over the predicted one; 1 if both are rounding, -Inf if it is not finite."""
    if not trial.is_finite:
        return -math.inf
    noise, decrease = objective.noise(point.value), point.value - trial.value
    if abs(decrease) <= noise and predicted <= noise:
        return 1.0
    return decrease / predicted if predicted > 0 else -math.inf
