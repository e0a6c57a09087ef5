"""Newton's method for sums over many cases, with the Hessian of a sample (Roosta-Khorasani and Mahoney)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .._arrays import Array
from .._minimize import FAILED, MinimizeResult, minimize
from .._numbers import count, number
from .._objective import Objective, Point, inner, own
from ..eigen import eigenbasis
from ..errors import Status
from ._armijo import is_low_enough
from ._conjugate_gradient import conjugate_gradient
from ._float64 import back, float64
from ._linear_models import GeneralizedLinearModel, require_cases
from ._sample_sizes import gradient_sample_size, hessian_sample_size

__all__ = [
    "FiniteSum",
    "GeneralizedLinearModel",
    "SubsampledDirection",
    "gradient_sample_size",
    "hessian_sample_size",
    "minimize_subsampled_newton",
    "subsampled_direction",
]

MOST_HALVINGS = 50


class FiniteSum(Protocol):
    """What the method needs to know about a mean over cases; `GeneralizedLinearModel` is one."""

    @property
    def cases(self) -> int:
        """N, their number."""

    def value_and_gradient(self, x: Array, cases: np.ndarray | None = None) -> tuple[float, Array]:
        """Return the mean of all cases, and the mean gradient of all or of some, an array like x."""

    def hessian_product(self, x: Array, cases: np.ndarray | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """Return ``v -> H v``, float64 arrays, with the mean Hessian of all cases or of some."""

    def hessian(self, x: Array, cases: np.ndarray | None = None) -> np.ndarray:
        """Return that Hessian; for spectral regularisation only."""


@dataclass(frozen=True, slots=True)
class SubsampledDirection:
    """A direction, and what it took.

    Attributes
    ----------
    direction : array, shape (n,)
        To be added to the parameters, times a step; NaN where it could not be had.
    products : int
        With the Hessian of the sample; 0 where that was formed.
    status : Status
        ``OK``; ``NO_CONVERGENCE``, the residual is not as small as was asked for, but this is a direction of descent;
        ``NOT_POSITIVE_DEFINITE``, curvature that is not positive was met: the direction is the iterate before that, or
        minus the gradient; ``NOT_FINITE``.
    """

    direction: Array
    products: int
    status: Status


def subsampled_direction(
    problem: FiniteSum,
    x: Array,
    gradient: Array,
    cases: np.ndarray | None = None,
    *,
    regularization: str = "ridge",
    shift: float = 0.0,
    inner_rtol: float = 0.1,
    inner_iterations: int | None = None,
) -> SubsampledDirection:
    """Return the Newton direction ``-H^-1 gradient`` with the regularised Hessian of some cases.

    Parameters
    ----------
    problem : FiniteSum
        The function.
    x : array, shape (n,)
        The point.
    gradient : array, shape (n,)
        There.
    cases : int array, shape (s,), optional
        The sample; all cases if left out.
    regularization : {"ridge", "spectral"}
        ``H + shift I``, or ``sum max(lambda_i, shift) v_i v_i^T``: the nearest matrix whose eigenvalues are at least
        ``shift``, for which the Hessian is formed.
    shift : float >= 0
        In the unit of the Hessian; > 0 for ``"spectral"``.
    inner_rtol : float >= 0
        theta_1: conjugate gradients end where ``|H p + g| <= inner_rtol |g|``. Not for ``"spectral"``, which is exact.
    inner_iterations : int >= 1, optional
        Their limit; 10 n by default.

    Returns
    -------
    SubsampledDirection
        The direction like x, with a status.

    Raises
    ------
    ValueError
        A shape that does not fit, a number out of range, or an option that is unknown.
    TypeError
        An array of a device, or a number of another type.

    Notes
    -----
    Iterates of conjugate gradients from 0 satisfy ``p.g = -p^T H p``, the second condition of the paper, with theta_2
    = 0. Source: Roosta-Khorasani and Mahoney 2016 (arXiv 1601.04737), sections 2 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import subsampled_newton as ssn
    >>> model = ssn.GeneralizedLinearModel(np.eye(2), np.array([2.0, 4.0]), "least_squares")
    >>> w = np.zeros(2)
    >>> ssn.subsampled_direction(model, w, model.value_and_gradient(w)[1]).direction
    array([2., 4.])
    """
    owner = "subsampled_direction"
    _require_options(owner, regularization, shift, inner_rtol, inner_iterations)
    n = len(float64(owner, "x", x, ("n",)))
    g = float64(owner, "gradient", gradient, (n,))
    if cases is not None:
        cases = require_cases(owner, cases, problem.cases)
    if regularization == "spectral":
        found = _spectral(problem.hessian(x, cases), g, shift)
    else:
        product = problem.hessian_product(x, cases)
        found = _by_conjugate_gradients(lambda v: product(v) + shift * v, g, inner_rtol, inner_iterations)
    return SubsampledDirection(back(found.direction, x), found.products, found.status)


def _require_options(owner: str, regularization: str, shift: float, rtol: float, iterations: int | None) -> None:
    if regularization not in {"ridge", "spectral"}:
        raise ValueError(f"{owner}: regularization must be 'ridge' or 'spectral', got {regularization!r}")
    number(owner, "shift", shift, lambda value: 0 <= value < math.inf, "a finite number >= 0")
    if regularization == "spectral" and shift == 0:
        raise ValueError(f"{owner}: shift must be > 0 for 'spectral', got {shift}")
    number(owner, "inner_rtol", rtol, lambda value: 0 <= value < math.inf, "a finite number >= 0")
    if iterations is not None:
        count(owner, "inner_iterations", iterations)


def _spectral(H: np.ndarray, g: np.ndarray, shift: float) -> SubsampledDirection:
    basis = eigenbasis(np.ascontiguousarray(H))
    status = Status(int(basis.status))
    with np.errstate(invalid="ignore", over="ignore"):
        direction = -basis.vectors @ ((basis.vectors.T @ g) / np.maximum(basis.values, shift))
    is_bad = status == Status.OK and not np.isfinite(direction).all()
    return SubsampledDirection(direction, 0, Status.NOT_FINITE if is_bad else status)


def _by_conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray], g: np.ndarray, rtol: float, limit: int | None
) -> SubsampledDirection:
    found = conjugate_gradient(product, -g, rtol=rtol, max_iterations=limit)
    is_saddle = found.status == Status.NOT_POSITIVE_DEFINITE and found.iterations == 0
    return SubsampledDirection(-g if is_saddle else found.solution, found.products, found.status)


def minimize_subsampled_newton(
    problem: FiniteSum,
    x0: Array,
    hessian_cases: int,
    *,
    gradient_cases: int | None = None,
    regularization: str = "ridge",
    shift: float = 0.0,
    inner_rtol: float = 0.1,
    inner_iterations: int | None = None,
    decrease: float = 1e-4,
    first_step: float = 1.0,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_iterations: int = 1000,
    callback: Callable[[MinimizeResult], Any] | None = None,
    progress: bool = False,
) -> MinimizeResult:
    """Minimise a mean over many cases by Newton steps with the Hessian of a sample.

    Parameters
    ----------
    problem : FiniteSum
        The function, convex for the theory: a `GeneralizedLinearModel`, or an object with its methods.
    x0 : float32 or float64 array, shape (n,)
        The first point, of any library of the CPU with ``+``, ``-`` and ``*``.
    hessian_cases : int >= 1
        Size of the sample, drawn anew in each iteration, uniformly and without replacement; from N on all cases are
        used. See `hessian_sample_size`; 1 to 10 % of N are usual.
    gradient_cases : int >= 1, optional
        The same for the gradient; all cases if left out. Values are always those of all cases. Iterations then go on
        until the *sampled* gradient is as small as was asked for; near the minimum they may end with status 3.
    regularization, shift, inner_rtol, inner_iterations
        As for `subsampled_direction`; what to do about a Hessian of fewer cases than parameters.
    decrease : float in (0, 1/2)
        beta in the condition of Armijo, ``F(x + alpha p) <= F(x) + alpha beta p.g``.
    first_step : float >= 1
        The largest alpha; it is halved until the condition holds, 50 times at most.
    seed : int >= 0
        Of the samples; with the number of the iteration it determines them.
    rtol, atol, max_iterations, callback, progress
        As for `curvblas.minimize_lbfgs`.

    Returns
    -------
    MinimizeResult
        x, value, gradient, counts, status. Hessian products that are not finite end the run with status 3.

    Raises
    ------
    ValueError
        An x0, a gradient, an option or a number that does not fit.
    TypeError
        An array of a device, or a number of another type.
    ModuleNotFoundError
        ``progress=True`` without rich.

    Notes
    -----
    With all cases, damped Newton by conjugate gradients. For a `GeneralizedLinearModel` an iteration costs 4 N p flops
    for value and gradient, and 4 s p for each product with the Hessian of s cases. Convergence is linear, with a rate
    that does not depend on the condition of the problem once the sample is large enough (Theorem 1).
    Source: Roosta-Khorasani and Mahoney 2016 (arXiv 1601.04737), algorithms 1 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import subsampled_newton as ssn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((1000, 5))
    >>> y = (X @ np.ones(5) + rng.standard_normal(1000) > 0).astype(float)
    >>> model = ssn.GeneralizedLinearModel(X, y, "logistic", ridge=1e-3)
    >>> found = ssn.minimize_subsampled_newton(model, np.zeros(5), hessian_cases=100)
    >>> found.success, found.nit < 20
    (True, True)
    """
    owner = "minimize_subsampled_newton"
    _require_options(owner, regularization, shift, inner_rtol, inner_iterations)
    decrease = number(owner, "decrease", decrease, lambda value: 0 < value < 0.5, "a number in (0, 1/2)")
    first_step = number(owner, "first_step", first_step, lambda value: 1 <= value < math.inf, "a finite number >= 1")
    sample = _Sampler(owner, problem.cases, seed, hessian_cases, gradient_cases)
    float64(owner, "x0", x0)
    objective = Objective(owner, lambda x: problem.value_and_gradient(x, sample.for_gradient), x0)

    def direction_at(point: Point, cases: np.ndarray | None) -> SubsampledDirection:
        return subsampled_direction(
            problem,
            point.x,
            point.gradient,
            cases,
            regularization=regularization,
            shift=shift,
            inner_rtol=inner_rtol,
            inner_iterations=inner_iterations,
        )

    return minimize(
        objective,
        _iterates(objective, own(x0), sample, direction_at, decrease, first_step),
        rtol=rtol,
        atol=atol,
        max_iterations=max_iterations,
        callback=callback,
        progress=progress,
    )


class _Sampler:
    """The samples of the Hessian and of the gradient; None where they are all cases."""

    def __init__(self, owner: str, cases: int, seed: int, hessian: int, gradient: int | None) -> None:
        count(owner, "seed", seed, least=0)
        self._cases, self._seed = cases, seed
        self._hessian = count(owner, "hessian_cases", hessian)
        self._gradient = cases if gradient is None else count(owner, "gradient_cases", gradient)
        self.for_hessian: np.ndarray | None = None
        self.for_gradient: np.ndarray | None = None
        self.draw(0)

    def draw(self, iteration: int) -> None:
        """Draw the Hessian's sample of an iteration, and the gradient's for the point that it leads to."""
        rng = np.random.default_rng([self._seed, iteration])
        self.for_hessian, self.for_gradient = (
            None if size >= self._cases else rng.choice(self._cases, size, replace=False)
            for size in (self._hessian, self._gradient)
        )


def _iterates(
    objective: Objective,
    x0: Array,
    sample: _Sampler,
    direction_at: Callable[[Point, np.ndarray | None], SubsampledDirection],
    decrease: float,
    first_step: float,
) -> Iterator[Point | int]:
    point, iteration = objective(x0), 0
    yield point
    while True:
        iteration += 1
        sample.draw(iteration)
        direction = direction_at(point, sample.for_hessian).direction
        following = _armijo(objective, point, direction, decrease, first_step)
        if following is None:
            yield FAILED
        else:
            point = following
            yield point


def _armijo(objective: Objective, point: Point, direction: Array, decrease: float, alpha: float) -> Point | None:
    slope = inner(point.gradient, direction)
    if not slope < 0:
        return None
    for _ in range(MOST_HALVINGS + 1):
        trial = objective(point.x + alpha * direction)
        if is_low_enough(objective, point, trial, alpha, slope, decrease):
            return trial
        alpha *= 0.5
    return None
