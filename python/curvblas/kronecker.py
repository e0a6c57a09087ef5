"""Kronecker factors: accumulation, damping, inversion (K-FAC).

A layer with weights W (out_features, in_features), inputs a and output derivatives g has the curvature block
``G (x) A`` with ``A = E[a a^T]`` and ``G = E[g g^T]`` (Martens and Grosse 2015, section 3). Every function takes one
array, a stack of them, or a list of arrays of different sizes, and does the whole group in one native call.
"""

from dataclasses import dataclass

import numpy as np

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of
from .errors import NotPositiveDefiniteError, Status

__all__ = [
    "InverseResult",
    "all_finite",
    "damped_inverse",
    "update_factors",
]


@dataclass(frozen=True, slots=True)
class InverseResult:
    """Inverses with what is known about each of them.

    Attributes
    ----------
    inverse : array or list of arrays, shape (..., n, n)
        Like the factors: full storage, exactly symmetric. A failed matrix is NaN.
    status : int8 array, one per matrix
        See `Status`.
    jitter : float64 array, one per matrix
        What was added to the diagonal on top of damping; NaN where there is no inverse.
    residual : float64 array, one per matrix
        An estimate of ``||(C + (damping + jitter) I) inverse - I||``; NaN where there is no inverse.
    log_det : float64 array, one per matrix
        ``log det(C + (damping + jitter) I)``; NaN where there is no inverse.
    """

    inverse: Arrays
    status: Array
    jitter: Array
    residual: Array
    log_det: Array

    @property
    def ok(self) -> Array:
        """True where the residual is below 1e-2, jittered or not; one per matrix."""
        # Our own device arrays, for libraries that have none to offer, compare nothing: read back, and NumPy's.
        status = self.status.to_host() if hasattr(self.status, "to_host") else self.status
        return status <= Status.JITTERED


def update_factors(
    factors: Arrays,
    rows: Arrays,
    *,
    decay: Parameter = 0.95,
    scale: Parameter | None = None,
    weights: Arrays | None = None,
    bias: bool | list[bool] = False,
    copy: bool = False,
) -> Arrays:
    """Update Kronecker factors in place: ``C <- decay C + scale sum_n w_n r_n r_n^T``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        Symmetric; only the lower triangle is read, and nothing of it where ``decay`` is 0. Written whole, exactly
        symmetric.
    rows : float64, float32, float16 or bfloat16 array, shape (..., N, d) or (..., N, T, d), or list of them
        N cases, or N cases with T positions that share the weights (time steps, locations): all N T rows are summed.
        d = n, or n - 1 with ``bias``. Converted to the dtype of the factor, in which everything is accumulated.
    decay : float in [0, 1], or one per matrix
        How much of the old factor stays. ``min(1 - 1 / k, 0.95)`` at step k = 1, 2, ... starts as a running mean.
    scale : float, or one per matrix
        Default ``(1 - decay) / N``, whatever the weights and T: a mean over cases, a sum over positions. For a mean
        over positions too, pass ``(1 - decay) / (N T)``.
    weights : array shaped like ``rows`` without the last axis, or list of them
        w_n, any sign. Default: all 1. A weight of 0 does not hide NaN in its row.
    bias : bool, or list of bool
        Append an implicit 1 to each row; it is the last row and column of the factor.
    copy : bool
        Leave ``factors`` alone and return new arrays. Needed for immutable arrays (JAX, read-only).

    Returns
    -------
    array or list of arrays
        ``factors``, or the new arrays with ``copy``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number out of range, factors that are read-only, or that share memory with an
        argument.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.

    Notes
    -----
    There is no status. NaN in the rows or the factor stays within its matrix; an entry of an *array* ``decay`` or
    ``scale`` that is out of range makes that matrix NaN. No rows (N = 0) only decays. Cost N T n^2 flops a matrix.
    The result has the same bits for any number of threads, alone or in a group.
    Source: Martens and Grosse 2015, section 3; shared weights: Grosse and Martens 2016, section 3.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> A = np.zeros((3, 3))
    >>> cb.update_factors(A, np.array([[1.0, 2.0], [3.0, 4.0]]), decay=0.0, bias=True)
    array([[ 5.,  7.,  2.],
           [ 7., 10.,  3.],
           [ 2.,  3.,  1.]])
    """
    backend = backend_of("update_factors", "factors", factors)
    updated = backend.update_factors(factors, rows, decay, scale, weights, bias, copy)
    return in_kind(updated, factors) if copy else factors


def damped_inverse(
    factors: Arrays,
    damping: Parameter,
    *,
    method: str = "cholesky",
    on_failure: str = "jitter",
    out: Arrays | None = None,
) -> InverseResult:
    """Invert factors shifted by damping: ``(C + damping I)^-1``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        Symmetric; only the lower triangle is read. Never modified.
    damping : float >= 0, or one per matrix
        In the unit of the eigenvalues of ``factors``.
    method : {"cholesky"}
        How to invert.
    on_failure : {"jitter", "keep", "raise"}
        What to do about a matrix that is not positive definite. ``"jitter"``: try again in float64, then with a
        growing jitter, ``max(4 n eps, 1e-8) 10^j max(mean |C_ii|, damping)`` for j = 0, 1, ... up to 1e-2 of that
        maximum, then give up. ``"keep"``: no second try; leave that matrix of ``out`` as it is, for every status above
        `Status.JITTERED`. ``"raise"``: no second try; raise `NotPositiveDefiniteError`, also for NaN and Inf, after the
        rest of the group is done. Statuses 5 and 6 never raise: look at ``.ok``.
    out : arrays like ``factors``
        Where the inverses go; may not share memory with ``factors``.

    Returns
    -------
    InverseResult
        ``inverse`` like ``factors`` (or ``out``); ``status``, ``jitter``, ``residual``, ``log_det`` one per matrix.

    Raises
    ------
    ValueError
        A factor is not square, a number ``damping`` is negative or not finite, an option is unknown, ``out`` does not
        fit.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.
    NotPositiveDefiniteError
        Only with ``on_failure="raise"``; has ``.index`` and ``.minor``.

    Notes
    -----
    Not the inverse of the damped Kronecker *product*; `factored_damping` gives the two dampings that approximate it.
    Statuses: ``OK``, ``JITTERED``, ``NOT_POSITIVE_DEFINITE``, ``NOT_FINITE``, ``INVALID_PARAMETER`` (a bad entry of an
    *array* ``damping``), ``INACCURATE`` (a residual above 1e-2, after rounding to the dtype of the factor). One bad
    matrix never touches another one. Cost n^3 flops a matrix. The result has the same bits for any number of threads,
    alone or in a group. The inverses of a list share one allocation.
    Source: Martens and Grosse 2015, section 6.3.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.damped_inverse(np.diag([1.0, 3.0]), damping=1.0).inverse.diagonal()
    array([0.5 , 0.25])
    """
    if method != "cholesky":
        raise ValueError(f'damped_inverse: method must be "cholesky", got {method!r}')
    backend = backend_of("damped_inverse", "factors", factors)
    inverse, *parts, index, minor, status = backend.damped_inverse(factors, damping, on_failure, out)
    if index >= 0:
        where = "factors" if parts[0].ndim == 0 else f"factors[{index}]"
        raise NotPositiveDefiniteError(_why_not(where, minor, status), index, minor)
    if type(factors) is not np.ndarray:
        inverse = in_kind(inverse, factors) if out is None else out
        parts = [in_kind(part, factors) for part in parts]
    return InverseResult(inverse, *parts)


def _why_not(where: str, minor: int, status: int) -> str:
    if status == Status.NOT_FINITE:
        what = f"holds NaN or Inf, first in row {minor - 1}"
    else:
        what = f"is not positive definite: its leading minor of order {minor} is not positive"
    return f"damped_inverse: {where} plus damping {what}"


def all_finite(arrays: Arrays) -> bool:
    """Tell whether a group holds no NaN and no Inf.

    Parameters
    ----------
    arrays : float64, float32, float16 or bfloat16 array of any shape, or list of arrays
        Not modified. The arrays of a list may differ in dtype and in their number of axes.

    Returns
    -------
    bool
        True also for an empty group.

    Raises
    ------
    TypeError
        A dtype, device or library that does not fit.

    Notes
    -----
    One pass, ended early where something is found; at memory speed along contiguous memory.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.all_finite([np.ones(3), np.array([[1.0, np.inf]])])
    False
    """
    return bool(backend_of("all_finite", "arrays", arrays).all_finite(arrays))
