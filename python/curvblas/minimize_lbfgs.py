"""Minimisation by limited-memory BFGS with a line search."""

from collections.abc import Callable, Iterator
from typing import Any

from ._arrays import Array
from ._minimize import FAILED, ROUNDING, MinimizeResult, minimize
from ._numbers import count
from ._objective import Objective, Point, inner, norm, own, search
from .lbfgs import LBFGS

__all__ = ["minimize_lbfgs"]


def minimize_lbfgs(
    fun: Callable[[Array], tuple[Any, Array]],
    x0: Array,
    *,
    memory: int = 10,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_iterations: int = 10_000,
    callback: Callable[[MinimizeResult], Any] | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a smooth function by limited-memory BFGS, with steps that satisfy the strong Wolfe conditions.

    Parameters
    ----------
    fun : callable
        ``fun(x)`` gives the value, a number, and the gradient, an array like x, which is copied. NaN and Inf say that
        a step is too long. Its exceptions pass through.
    x0 : float32 or float64 array, shape (n,)
        The first point, of any library with ``+``, ``-`` and ``*``. Never modified: fun gets a copy.
    memory : int >= 1
        Pairs that are kept.
    rtol : float >= 0
        Success where ``|g| <= rtol |g_0|``, Euclidean norms, g_0 the first gradient: the same for any units of value
        and x.
    atol : float >= 0
        Success where ``|g| <= atol``, too: for first points that may be solutions.
    max_iterations : int >= 1
        Limit on the iterations.
    callback : callable, optional
        ``callback(result)`` is told the result so far after every iteration but the last, and stops the run by
        returning True. Its arrays are new in every iteration; they must not be modified. Its exceptions pass through.
    progress : bool
        Show a line with iteration, value and gradient; needs the package rich, of the extra ``demo``.

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
    Stops with success, too, where over 10 iterations the value has not changed by more than 10 units of rounding of x's
    dtype, and the gradient has not halved. If no step along the direction decreases the value, all pairs are
    forgotten and steepest descent is tried once. Besides the evaluations, an iteration costs about 16 m n flops
    and reads the pairs three times (see `LBFGS`).

    Source: Liu and Nocedal 1989, On the limited memory BFGS method for large scale optimization; the line search is
    that of Moré and Thuente 1994 (`wolfe_search`).

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> A = np.array([1.0, 10.0, 100.0])
    >>> found = cb.minimize_lbfgs(lambda x: (x @ (A * x) / 2, A * x), np.ones(3))
    >>> found.success, bool(abs(found.x).max() < 1e-3)
    (True, True)
    """
    objective = Objective("minimize_lbfgs", fun, x0)
    iterates = _iterates(objective, own(x0), count("minimize_lbfgs", "memory", memory))
    return minimize(
        objective,
        iterates,
        rtol=rtol,
        atol=atol,
        max_iterations=max_iterations,
        callback=callback,
        progress=progress,
    )


def _iterates(objective: Objective, x0: Array, memory: int) -> Iterator[Point | int]:
    point = objective(x0)
    yield point
    method = LBFGS(objective.size, memory=memory)
    while True:
        direction = method.direction(point.gradient)
        first_step = 1.0 if method.kept else min(1.0, 1.0 / point.norm)
        _, following = search(objective, point, direction, first_step)
        if following is point:
            if not method.kept:
                yield FAILED
            if _is_rounding(objective, point, direction):
                yield ROUNDING
            method = LBFGS(objective.size, memory=memory)
            continue
        method.update(following.x - point.x, following.gradient - point.gradient)
        point = following
        yield point


def _is_rounding(objective: Objective, point: Point, direction: Array) -> bool:
    """Tell whether the decrease that the model promises, or the step to it, is a matter of rounding."""
    decrease = -0.5 * inner(point.gradient, direction)  # negative where the pairs are to blame
    return 0 <= decrease <= objective.noise(point.value) or norm(direction) <= objective.noise(norm(point.x))
