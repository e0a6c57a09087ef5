"""Linear conjugate gradients, which notice negative curvature."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._numbers import count, number
from ..errors import Status
from ._float64 import back, float64, is_held

Product = Callable[[Array], Array]

_SMALLEST = 1e-100  # of relative residuals: the squares of smaller ones underflow
_INACCURATE = 1e-2


@dataclass(frozen=True, slots=True)
class ConjugateGradientResult:
    """Where conjugate gradients have come to.

    Attributes
    ----------
    solution : array, shape (n,)
        The last iterate, along whose way all curvature was positive.
    residual : float
        ``|b - H x| / |b|``, as the recursion has it; 0 for b = 0.
    iterations : int
        Iterates after the start.
    products : int
        Calls of the product: as many as iterations, and one each for a start that is not 0 and for a product that
        ended them.
    direction : array, shape (n,)
        The last search direction, of any length; where the status is ``NOT_POSITIVE_DEFINITE``, one with ``d^T H d <=
        0``.
    change : float
        Of ``x.H x / 2 - b.x``, from 0 at x = 0.
    status : Status
        ``OK``, the residual is as small as was asked for, or the rule of progress ended with one of at most 1e-2;
        ``INACCURATE``, the rule ended with a larger one; ``NO_CONVERGENCE``, the limit on iterations is reached, and
        the solution is inexact; ``NOT_POSITIVE_DEFINITE``, curvature that is not positive was met; ``NOT_FINITE``, an
        argument or a product holds NaN or Inf, or the solution overflows, and it is NaN.
    """

    solution: Array
    residual: float
    iterations: int
    products: int
    direction: Array
    change: float
    status: Status

    @property
    def ok(self) -> bool:
        """Whether the residual is as small as was asked for."""
        return self.status == Status.OK


def conjugate_gradient(
    product: Product,
    rhs: Array,
    *,
    damping: float = 0.0,
    start: Array | None = None,
    rtol: float = 1e-10,
    progress: float = 0.0,
    max_iterations: int | None = None,
) -> ConjugateGradientResult:
    """Solve without the matrix: ``H x = b`` with ``H = A + damping I``, symmetric and positive definite.

    Parameters
    ----------
    product : callable
        ``v -> A v`` for a vector of the kind of ``rhs``.
    rhs : array, shape (n,)
        b.
    damping : float >= 0
        In the unit of the eigenvalues of A.
    start : array, shape (n,), optional
        Where to start; 0 if left out.
    rtol : float >= 0
        Ends where ``|b - H x| <= rtol |b|``.
    progress : float >= 0
        Ends at iterate i where ``phi(x) = x.H x / 2 - b.x`` is negative and has fallen, over the last ``k = max(10, i /
        10)`` of them, by less than ``k progress |phi|``: the rule of Hessian-free optimisation, usually with 5e-4. 0 is
        without it.
    max_iterations : int >= 1, optional
        By default 10 n: rounding makes more than n of matrices that are ill-conditioned.

    Returns
    -------
    ConjugateGradientResult
        The solution in the library and dtype of b, with a status.

    Raises
    ------
    ValueError
        A shape that does not fit, or a number out of range.
    TypeError
        An array of a device, or one that holds no real numbers, or a number of another type.

    Notes
    -----
    Every iterate from 0 satisfies ``x.b = x^T H x``, so that with b = -gradient it is a direction of descent. An
    iteration costs a product and 10 n flops. Source: Hestenes and Stiefel 1952; Nocedal and Wright 2006, algorithms 5.2
    and 7.1; Martens 2010, section 4.4, for the rule.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact
    >>> found = exact.conjugate_gradient(lambda v: np.array([1.0, 3.0]) * v, np.array([2.0, 2.0]), damping=1.0)
    >>> found.solution.round(12), found.iterations
    (array([1. , 0.5]), 2)
    """
    owner = "conjugate_gradient"
    for name, value in (("damping", damping), ("rtol", rtol), ("progress", progress)):
        number(owner, name, value, lambda t: 0 <= t < math.inf, "a finite number >= 0")
    b = float64(owner, "rhs", rhs, ("n",))
    x = np.zeros_like(b) if start is None else float64(owner, "start", start, b.shape)
    limit = 10 * len(b) if max_iterations is None else count(owner, "max_iterations", max_iterations)

    def times(v: np.ndarray) -> np.ndarray:
        return float64(owner, "product(v)", product(back(v.copy(), rhs)), b.shape) + damping * v

    # Of entries below 2, or squares would overflow long before b does; a power of 2 rounds nothing.
    unit = 2.0 ** (math.frexp(float(np.abs(b).max(initial=0.0)))[1] - 1)
    with np.errstate(all="ignore"):
        scaled = x / unit if b.any() else np.zeros_like(b)
        found = _iterate(times, b / unit, scaled, rtol, progress, limit)
        solution = unit * found.solution
        is_finite = found.status != Status.NOT_FINITE and is_held(solution, rhs)
        return ConjugateGradientResult(
            back(solution if is_finite else np.full_like(b, np.nan), rhs),
            found.residual,
            found.iterations,
            found.products,
            back(found.direction, rhs),
            found.change * unit * unit,
            found.status if is_finite else Status.NOT_FINITE,
        )


def _iterate(
    times: Callable[[np.ndarray], np.ndarray], b: Any, x: Any, rtol: float, progress: float, limit: int
) -> ConjugateGradientResult:
    size, products = math.sqrt(b @ b), int(x.any())
    r = b - times(x) if products else b
    d, rr, changes = r, float(r @ r), [float(-(x @ (b + r)) / 2)]
    while (status := _ending(math.sqrt(rr), size, changes, rtol, progress, limit)) is None:
        image, products = times(d), products + 1
        curvature = float(d @ image)
        if not (math.isfinite(curvature) and np.isfinite(image).all()):
            status = Status.NOT_FINITE
            break
        if curvature <= 0:
            status = Status.NOT_POSITIVE_DEFINITE
            break
        length = rr / curvature
        x, r = x + length * d, r - length * image
        changes.append(changes[-1] - length * rr / 2)
        rr, before = float(r @ r), rr
        d = r + rr / before * d
    residual = math.sqrt(rr) / size if size else 0.0
    return ConjugateGradientResult(x, residual, len(changes) - 1, products, d, changes[-1], status)


def _ending(
    residual: float, size: float, changes: list[float], rtol: float, progress: float, limit: int
) -> Status | None:
    if not math.isfinite(residual):
        return Status.NOT_FINITE
    if residual <= max(rtol, _SMALLEST) * size:
        return Status.OK
    if _stalls(changes, progress):
        return Status.OK if residual <= _INACCURATE * size else Status.INACCURATE
    return Status.NO_CONVERGENCE if len(changes) > limit else None


def _stalls(changes: list[float], progress: float) -> bool:
    i = len(changes) - 1
    k = max(10, i // 10)
    return i > k and changes[i] < 0 and (changes[i] - changes[i - k]) / changes[i] < k * progress
