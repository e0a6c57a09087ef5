"""Newton, Gauss-Newton and conjugate gradients: minimisers of smooth functions; and Rprop."""

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from .._arrays import Array
from .._minimize import FAILED, ROUNDING, MinimizeResult, minimize
from .._numbers import number
from .._objective import Objective, Point, inner, norm, own, search
from ..cholesky import cholesky_solve, damped_cholesky
from ..errors import Status
from ..sample_space import sample_space_solve
from ._armijo import is_low_enough
from ._float64 import back, float64, require_shape
from ._rprop import Rprop

__all__ = [
    "Rprop",
    "minimize_cg",
    "minimize_gauss_newton",
    "minimize_newton",
]

Solve: TypeAlias = Callable[[float], Array | None]
"""The direction for a damping; None where there is none."""

GROW, SHRINK, DECREASE = 1.2, 0.5, 0.01  # rho_plus, rho_minus and rho_ls of the lecture
MOST_TRIALS = 60  # halvings: 1e-18 of the first step


def minimize_newton(
    fun: Callable[[Array], tuple[Any, Array]],
    hessian: Callable[[Array], Array],
    x0: Array,
    *,
    damping: float = 0.0,
    increase: float = 1.0,
    decrease: float = 1.0,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_iterations: int = 1000,
    callback: Callable[[MinimizeResult], Any] | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a smooth function by Newton's method with an adaptive step and damping.

    The direction is ``-(H + damping I)^-1 g``, or ``-g / |g|`` where that matrix has no Cholesky factor.

    Parameters
    ----------
    fun : callable
        ``fun(x)`` gives the value, a number, and the gradient, an array like x, which is copied. NaN and Inf say that
        a step is too long. Its exceptions pass through.
    hessian : callable
        ``hessian(x)`` gives an (n, n) array of the dtype and library of x; only the lower triangle is read.
    x0 : float32 or float64 array, shape (n,)
        The first point, of any library with ``+``, ``-`` and ``*``. Never modified: fun gets a copy.
    damping : float >= 0
        In the unit of the Hessian.
    increase : float >= 1
        What the damping is multiplied with after a step that was too long; the direction is computed anew then.
    decrease : float in (0, 1]
        What it is multiplied with after every step that is taken.
    rtol, atol, max_iterations, callback, progress
        As for `curvblas.minimize_lbfgs`.

    Returns
    -------
    MinimizeResult
        x, value, gradient, counts, status. A Hessian that is not finite ends the run with status 3.

    Raises
    ------
    ValueError
        An x0, a gradient, a Hessian or a number that does not fit.
    TypeError
        A number or an array of another type.
    ModuleNotFoundError
        ``progress=True`` without rich.

    Notes
    -----
    A step ``alpha d`` is taken where ``f(x + alpha d) <= f(x) + 0.01 alpha g.d``, up to rounding; alpha is halved until
    that is so, and grows by 1.2 with every step up to 1. Cost of an iteration: a Hessian, ``n^3 / 3`` flops for each
    damping that is tried. Source: Toussaint, lecture "Second-order optimization"; Nocedal and Wright 2006, chapter 3.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import newton
    >>> H = np.array([[3.0, 1.0], [1.0, 2.0]])
    >>> found = newton.minimize_newton(lambda x: (x @ H @ x / 2, H @ x), lambda x: H, np.ones(2))
    >>> found.nit, found.success
    (1, True)
    """
    objective = Objective("minimize_newton", fun, x0)

    def model(point: Point) -> Solve:
        H = hessian(own(point.x))
        if str(getattr(H, "dtype", type(H).__name__)) != str(point.x.dtype):
            found = getattr(H, "dtype", type(H).__name__)
            raise ValueError(f"{objective.owner}: the Hessian must be of the dtype {point.x.dtype} of x0, got {found}")
        require_shape(objective.owner, "the Hessian", H, (objective.size, objective.size))
        return lambda damping: _newton_direction(H, point.gradient, damping)

    iterates = _damped_iterates(objective, own(x0), model, damping, increase, decrease)
    return minimize(
        objective,
        iterates,
        rtol=rtol,
        atol=atol,
        max_iterations=max_iterations,
        callback=callback,
        progress=progress,
    )


def _newton_direction(H: Array, gradient: Array, damping: float) -> Array | None:
    root = damped_cholesky(H, damping)
    if int(root.status) == Status.NOT_FINITE:
        return gradient * math.nan
    # With jitter it is the system of another damping, which nobody asked for.
    return -cholesky_solve(root.factor, gradient.reshape(-1, 1)).reshape(-1) if int(root.status) == Status.OK else None


def minimize_gauss_newton(
    residuals: Callable[[Array], tuple[Array, Array]],
    x0: Array,
    *,
    damping: float = 0.0,
    increase: float = 1.0,
    decrease: float = 1.0,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_iterations: int = 1000,
    callback: Callable[[MinimizeResult], Any] | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a sum of squares ``f = phi.phi`` by Gauss-Newton steps ``-(J^T J + damping I)^-1 J^T phi``.

    Parameters
    ----------
    residuals : callable
        ``residuals(x)`` gives phi, shape (m,), and its Jacobian J, shape (m, n), arrays of the CPU, which are copied.
        NaN and Inf say that a step is too long. Its exceptions pass through.
    x0 : float32 or float64 array, shape (n,)
        The first point, of any library of the CPU with ``+``, ``-`` and ``*``.
    damping, increase, decrease
        As for `minimize_newton`, in the unit of ``J^T J``; with ``increase=10, decrease=0.1`` the method of Levenberg
        and Marquardt.
    rtol, atol, max_iterations, callback, progress
        As for `curvblas.minimize_lbfgs`; the gradient is ``2 J^T phi``.

    Returns
    -------
    MinimizeResult
        x, value, gradient, counts, status.

    Raises
    ------
    ValueError
        An x0, residuals or a number that does not fit.
    TypeError
        An array of a device, or a number of another type.
    ModuleNotFoundError
        ``progress=True`` without rich.

    Notes
    -----
    A long Jacobian (m >= n) goes through an SVD of ``[J; root(damping) I]``, which has the condition of J and not its
    square, 2 m n^2 + 11 n^3 flops; a wide one through `curvblas.sample_space_solve`, m^2 n flops. Steps of least norm
    where J has not full rank. Steps are adapted as in `minimize_newton`. Sources: Toussaint, lecture "Second-order
    optimization"; Nocedal and Wright 2006, chapter 10.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import newton
    >>> X, y = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.array([1.0, 3.0, 5.0])
    >>> found = newton.minimize_gauss_newton(lambda w: (X @ w - y, X), np.zeros(2))
    >>> found.x.round(12), found.nit
    (array([1., 2.]), 1)
    """
    owner = "minimize_gauss_newton"
    float64(owner, "x0", x0)
    latest: list[np.ndarray] = []

    def fun(x: Array) -> tuple[float, Array]:
        phi, J = residuals(x)
        phi = float64(owner, "phi", phi, ("m",)).copy()
        J = float64(owner, "J", J, (len(phi), x.shape[0])).copy()
        latest[:] = phi, J
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(phi @ phi)
            if not value and phi.any() and not objective.evaluations:
                value = math.nan  # squares that vanish are no minimum
            return value, back(2 * (phi @ J), x)

    objective = Objective(owner, fun, x0)

    def model(point: Point) -> Solve:
        phi, J = latest  # of the point: the trial that was taken is the last one
        return lambda damping: back(_gauss_newton_direction(phi, J, damping), point.x)

    iterates = _damped_iterates(objective, own(x0), model, damping, increase, decrease)
    return minimize(
        objective,
        iterates,
        rtol=rtol,
        atol=atol,
        max_iterations=max_iterations,
        callback=callback,
        progress=progress,
    )


def _gauss_newton_direction(phi: np.ndarray, J: np.ndarray, damping: float) -> np.ndarray:
    m, n = J.shape
    direction: np.ndarray
    if not np.isfinite(J).all():
        return np.full(n, np.nan)
    if m < n:
        direction = sample_space_solve(J, -phi, damping).solution
        return direction
    rows = np.vstack([J, math.sqrt(damping) * np.eye(n)]) if damping else J
    direction = np.linalg.lstsq(rows, np.append(-phi, np.zeros(len(rows) - m)))[0]
    return direction


def _damped_iterates(
    objective: Objective,
    x0: Array,
    model: Callable[[Point], Solve],
    damping: float,
    increase: float,
    decrease: float,
) -> Iterator[Point | int]:
    owner = objective.owner
    damping = number(owner, "damping", damping, lambda value: 0 <= value < math.inf, "a finite number >= 0")
    increase = number(owner, "increase", increase, lambda value: 1 <= value < math.inf, "a finite number >= 1")
    decrease = number(owner, "decrease", decrease, lambda value: 0 < value <= 1, "a number in (0, 1]")
    return _adapted_steps(objective, x0, model, damping, increase, decrease)


def _adapted_steps(
    objective: Objective,
    x0: Array,
    model: Callable[[Point], Solve],
    damping: float,
    increase: float,
    decrease: float,
) -> Iterator[Point | int]:
    point, alpha = objective(x0), 1.0
    yield point
    while True:
        solve = model(point)
        direction = _descent(solve(damping), point)
        for _ in range(MOST_TRIALS):
            slope = inner(point.gradient, direction)
            if not math.isfinite(slope):
                yield FAILED
            trial = objective(point.x + alpha * direction)
            if is_low_enough(objective, point, trial, alpha, slope, DECREASE):
                break
            alpha *= SHRINK
            if increase > 1:
                damping = min(damping * increase, 1e300)
                direction = _descent(solve(damping), point)
        else:
            yield FAILED
        point, alpha, damping = trial, min(GROW * alpha, 1.0), damping * decrease
        yield point


def _descent(direction: Array | None, point: Point) -> Array:
    """Return a direction along which the value falls, NaN as it is."""
    if direction is None or inner(point.gradient, direction) >= 0:
        return -point.gradient * (1 / point.norm)
    return direction


def minimize_cg(
    fun: Callable[[Array], tuple[Any, Array]],
    x0: Array,
    *,
    c2: float = 0.1,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_iterations: int = 10_000,
    callback: Callable[[MinimizeResult], Any] | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a smooth function by nonlinear conjugate gradients of Polak and Ribiere, with restarts (PR+).

    ``d <- -g + beta d`` with ``beta = max(g.(g - g_old) / g_old.g_old, 0)``.

    Parameters
    ----------
    fun : callable
        ``fun(x)`` gives the value, a number, and the gradient, an array like x, which is copied. NaN and Inf say that
        a step is too long. Its exceptions pass through.
    x0 : float32 or float64 array, shape (n,)
        The first point, of any library with ``+``, ``-`` and ``*``. Never modified: fun gets a copy.
    c2 : float in (0, 1)
        Share of the slope that a line search may leave. The method wants nearly exact searches; 1e-9 makes them exact.
    rtol, atol, max_iterations, callback, progress
        As for `curvblas.minimize_lbfgs`.

    Returns
    -------
    MinimizeResult
        x, value, gradient, counts, status.

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
    Three vectors of memory. A direction along which no step is found, or that does not descend, gives way to that of
    steepest descent. On a quadratic of n variables exact searches end after n iterations. Sources: Toussaint, lecture
    "Second-order optimization"; Nocedal and Wright 2006, section 5.2; the search is `curvblas.wolfe_search`.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import newton
    >>> A = np.array([1.0, 10.0, 100.0])
    >>> newton.minimize_cg(lambda x: (x @ (A * x) / 2, A * x), np.ones(3), c2=1e-9).nit
    3
    """
    owner = "minimize_cg"
    c2 = number(owner, "c2", c2, lambda value: 0 < value < 1, "a number in (0, 1)")
    objective = Objective(owner, fun, x0)
    return minimize(
        objective,
        _conjugate_iterates(objective, own(x0), c2),
        rtol=rtol,
        atol=atol,
        max_iterations=max_iterations,
        callback=callback,
        progress=progress,
    )


def _conjugate_iterates(objective: Objective, x0: Array, c2: float) -> Iterator[Point | int]:
    point = objective(x0)
    yield point
    direction, step, is_steepest = -point.gradient, min(1.0, 1 / point.norm), True
    is_longest = False
    while True:
        if point.norm**2 == 0:
            yield FAILED  # squares of its gradient vanish
        slope = inner(point.gradient, direction)
        if not slope < 0:
            direction, slope, is_steepest = -point.gradient, -(point.norm**2), True
        result, following = search(objective, point, direction, step, c2=c2)
        if following is point:
            if is_steepest:
                is_rounding = step * point.norm**2 <= objective.noise(point.value)
                is_rounding = is_rounding or step * point.norm <= objective.noise(norm(point.x))
                if is_longest or not is_rounding:
                    yield ROUNDING if is_longest else FAILED
                step, is_longest = max(step, 1 / point.norm), True  # too short a step is no rounding
            direction, is_steepest = -point.gradient, True
            continue
        change = following.gradient - point.gradient
        beta = max(inner(following.gradient, change) / point.norm**2, 0.0)
        direction = -following.gradient + beta * direction
        is_steepest = beta == 0
        # As if the value fell by as much as in the step before (Nocedal and Wright 2006, section 3.5).
        following_slope = inner(following.gradient, direction)
        step = min(result.step * slope / following_slope, 1e3 * result.step) if following_slope < 0 else result.step
        point, is_longest = following, False
        yield point
