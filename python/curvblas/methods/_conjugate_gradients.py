"""Linear conjugate gradients, which notice negative curvature."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from curvblas import Status
from curvblas._arrays import Array, in_kind
from curvblas._numbers import count, number

from ._float64 import float64


@dataclass(frozen=True, slots=True)
class ConjugateGradients:
    """Where conjugate gradients have come to.

    Attributes
    ----------
    solution : float64 array, shape (n,)
        The last iterate, along whose way all curvature was positive.
    residual : float
        ``|b - H x| / |b|``, as the recursion has it.
    iterations : int
        Iterates after 0.
    products : int
        Calls of the product: one more than iterations where curvature was not positive.
    direction : float64 array, shape (n,)
        The last search direction; where the status is ``NOT_POSITIVE_DEFINITE``, one with ``d^T H d <= 0``.
    status : Status
        ``OK``, the residual is as small as was asked for; ``NO_CONVERGENCE``, the limit on iterations is reached, and
        the solution is inexact; ``NOT_POSITIVE_DEFINITE``, curvature that is not positive was met; ``NOT_FINITE``, b or
        a product holds NaN or Inf, or overflows, and the solution is NaN.
    """

    solution: Array
    residual: float
    iterations: int
    products: int
    direction: Array
    status: Status

    @property
    def ok(self) -> bool:
        """Whether the residual is as small as was asked for."""
        return self.status == Status.OK


def conjugate_gradients(
    product: Callable[[np.ndarray], Any], rhs: Array, *, rtol: float = 1e-10, max_iterations: int | None = None
) -> ConjugateGradients:
    """Solve ``H x = b`` from 0, H symmetric and positive definite, by its products with vectors.

    Parameters
    ----------
    product : callable
        ``v -> H v`` of float64 arrays of shape (n,).
    rhs : array, shape (n,)
        b.
    rtol : float >= 0
        Ends where ``|b - H x| <= rtol |b|``.
    max_iterations : int >= 1, optional
        By default 10 n: rounding makes more than n of matrices that are ill-conditioned.

    Returns
    -------
    ConjugateGradients
        The solution in the library of b, with a status.

    Raises
    ------
    ValueError
        A shape that does not fit, or a number out of range.
    TypeError
        An array of a device, or a number of another type.

    Notes
    -----
    Every iterate satisfies ``x.b = x^T H x``, so that with b = -gradient it is a direction of descent. An iteration
    costs a product and 10 n flops. Source: Hestenes and Stiefel 1952; Nocedal and Wright 2006, algorithms 5.2 and 7.1.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import newton
    >>> found = newton.conjugate_gradients(lambda v: np.array([1.0, 4.0]) * v, np.array([1.0, 1.0]))
    >>> found.solution, found.iterations
    (array([1.  , 0.25]), 2)
    """
    owner = "conjugate_gradients"
    b = float64(owner, "rhs", rhs, ("n",))
    tolerance = number(owner, "rtol", rtol, lambda value: 0 <= value < math.inf, "a finite number >= 0")
    limit = 10 * max(len(b), 1) if max_iterations is None else count(owner, "max_iterations", max_iterations)
    with np.errstate(over="ignore", invalid="ignore"):
        largest = float(np.abs(b).max(initial=0.0))
        size = largest * float(np.linalg.norm(b / (largest or 1.0)))
        if size == 0 or not math.isfinite(size):
            status = Status.OK if size == 0 else Status.NOT_FINITE
            start = np.zeros_like(b) if size == 0 else np.full_like(b, np.nan)
            return ConjugateGradients(in_kind(start, rhs), size, 0, 0, in_kind(b.copy(), rhs), status)
        # Of unit length, or squares would overflow long before b does.
        x, residual, k, products, d, status = _iterate(product, b / size, tolerance, limit)
        return ConjugateGradients(in_kind(size * x, rhs), residual, k, products, in_kind(d, rhs), status)


def _iterate(
    product: Callable[[np.ndarray], Any], b: np.ndarray, tolerance: float, limit: int
) -> tuple[np.ndarray, float, int, int, np.ndarray, Status]:
    x, r, d = np.zeros_like(b), b.copy(), b.copy()
    squares = 1.0
    for k in range(limit):
        if math.sqrt(squares) <= tolerance:
            return x, math.sqrt(squares), k, k, d, Status.OK
        Hd = float64("conjugate_gradients", "the product", product(d.copy()), b.shape)
        curvature = float(d @ Hd)
        if not math.isfinite(curvature) or not np.isfinite(Hd).all():
            return np.full_like(b, np.nan), math.nan, k, k + 1, d, Status.NOT_FINITE
        if curvature <= 0:
            return x, math.sqrt(squares), k, k + 1, d, Status.NOT_POSITIVE_DEFINITE
        step = squares / curvature
        x = x + step * d
        r = r - step * Hd
        before, squares = squares, float(r @ r)
        d = r + squares / before * d
    status = Status.OK if math.sqrt(squares) <= tolerance else Status.NO_CONVERGENCE
    return x, math.sqrt(squares), limit, limit, d, status
