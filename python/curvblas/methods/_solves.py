"""Two ways to solve with a damped curvature matrix, and an inverse that is kept up to date."""

import numpy as np

from .._arrays import Array
from .._numbers import number, positive
from ..cholesky import cholesky_solve, damped_cholesky
from ..errors import Status
from ..sample_space import sample_space_solve
from ._float64 import Solution, float64, solved


def explicit_solve(matrix: Array, grad: Array, damping: float = 0.0) -> Solution:
    """Solve with an explicit matrix: ``(matrix + damping I)^-1 grad``.

    Parameters
    ----------
    matrix : array, shape (..., P, P)
        Symmetric and positive semi-definite; only the lower triangle is read.
    grad : array, shape (..., P)
    damping : float >= 0
        In the unit of the eigenvalues of the matrix.

    Returns
    -------
    Solution
        ``status`` as of `damped_cholesky`.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a damping that is negative or not finite.
    TypeError
        An array of a device, or one that holds no real numbers.

    Notes
    -----
    Cost P^3 / 3 flops a matrix: for up to a few thousand parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact
    >>> exact.explicit_solve(np.diag([1.0, 3.0]), np.array([2.0, 2.0]), damping=1.0).solution
    array([1. , 0.5])
    """
    F, g = (float64("explicit_solve", name, x) for name, x in (("matrix", matrix), ("grad", grad)))
    if F.ndim < 2 or F.shape[-1] != F.shape[-2] or g.shape != F.shape[:-1]:
        raise ValueError(
            f"explicit_solve: grad must have shape (..., P) for matrix (..., P, P) {F.shape}, got {g.shape}"
        )
    result = damped_cholesky(F, damping)
    solution = cholesky_solve(result.factor, np.ascontiguousarray(g[..., None]))[..., 0]
    return solved(solution, result.status, grad)


def woodbury_solve(rows: Array, grad: Array, damping: float) -> Solution:
    """Solve in the space of the rows for any gradient: ``(R^T R + damping I)^-1 grad``.

    Parameters
    ----------
    rows : array, shape (N, P)
        R, such as of `fisher_rows`.
    grad : array, shape (P,)
        Where it is ``R^T e``, `sample_space_solve` with e is more accurate for small dampings, and takes damping 0.
    damping : float > 0
        In the unit of the squares of R.

    Returns
    -------
    Solution
        ``(grad - R^T (R R^T + damping I)^-1 R grad) / damping``; ``status`` as of `sample_space_solve`.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a damping that is not positive and finite.
    TypeError
        An array of a device, or one that holds no real numbers.

    Notes
    -----
    Cost N^2 P + 4 N P + N^3 / 3 flops. The part of the solution in the space of the rows has an error of about eps
    ``|grad| / damping``, from the difference.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact
    >>> exact.woodbury_solve(np.array([[1.0, 0.0]]), np.array([2.0, 2.0]), damping=1.0).solution
    array([1., 2.])
    """
    R, g = (float64("woodbury_solve", name, x) for name, x in (("rows", rows), ("grad", grad)))
    damping = positive("woodbury_solve", "damping", damping)
    if R.ndim != 2 or g.shape != R.shape[1:]:
        raise ValueError(f"woodbury_solve: grad must have shape (P,) for rows (N, P) {R.shape}, got {g.shape}")
    result = sample_space_solve(R, R @ g, damping)
    with np.errstate(all="ignore"):
        return solved((g - result.solution) / damping, result.status, grad)


def update_inverse(inverse: Array, grad: Array, rate: float) -> Solution:
    """Return the inverse of a running average: of ``(1 - rate) G + rate g g^T``, from that of G.

    Parameters
    ----------
    inverse : array, shape (P, P)
        ``G^-1``, symmetric and positive definite; not modified.
    grad : array, shape (P,)
        g: a score, or the gradient of a case.
    rate : float in [0, 1)

    Returns
    -------
    Solution
        ``solution`` of shape (P, P), exactly symmetric if ``inverse`` is; ``status`` is ``NOT_FINITE`` where an
        argument holds NaN or Inf or products overflow, and ``NOT_POSITIVE_DEFINITE`` where the inverse is not; the
        solution is NaN then, and the caller may go on with ``inverse``.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a rate that is out of range.
    TypeError
        An array of a device, or one that holds no real numbers.

    Notes
    -----
    Exact, unlike Amari's ``(1 + rate) G^-1 - rate G^-1 g g^T G^-1``, at the same cost of 5 P^2 flops. It is what
    `KalmanNaturalGradient` does with ``fading=rate`` and the noise ``1 / rate``, which has blocks and devices.
    Source: Amari, Park and Fukumizu 2000, with the formula of Sherman and Morrison.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact
    >>> exact.update_inverse(np.eye(2), np.array([1.0, 0.0]), rate=0.5).solution
    array([[1., 0.],
           [0., 2.]])
    """
    owner = "update_inverse"
    C, g = float64(owner, "inverse", inverse), float64(owner, "grad", grad)
    rate = number(owner, "rate", rate, lambda x: 0 <= x < 1, "a number in [0, 1)")
    if g.ndim != 1 or C.shape != g.shape * 2:
        raise ValueError(f"{owner}: inverse must have shape (P, P) = {g.shape * 2}, got {C.shape}")
    with np.errstate(all="ignore"):
        u = C @ g
        divisor = (1 - rate) + rate * (g @ u)
        updated = (C - rate / divisor * np.outer(u, u)) / (1 - rate)
    return solved(updated, Status.NOT_POSITIVE_DEFINITE if divisor <= 0 else Status.OK, inverse)
