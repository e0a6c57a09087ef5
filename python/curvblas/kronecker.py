"""Kronecker factors: accumulation, damping, inversion (K-FAC).

A layer with weights W (out_features, in_features), inputs a and output derivatives g has the curvature block
``G (x) A`` with ``A = E[a a^T]`` and ``G = E[g g^T]`` (Martens and Grosse 2015, section 3). Every function takes one
array, a stack of them, or a list of arrays of different sizes, and does the whole group in one native call.
"""

from dataclasses import dataclass

import numpy as np

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of
from .errors import NotPositiveDefiniteError, Status, host_status, reason

__all__ = [
    "InverseResult",
    "all_finite",
    "damped_inverse",
    "update_factors",
]

_WARM_STARTS = {
    "cholesky": 'None with method="cholesky"',
    "newton": 'earlier inverses with method="newton"',
}


@dataclass(frozen=True, slots=True)
class InverseResult:
    """Inverses with what is known about each of them.

    Attributes
    ----------
    inverse : array or list of arrays, shape (..., n, n)
        Like the factors: full storage, exactly symmetric. A failed matrix is NaN, or with
        ``on_failure="keep"`` what ``out`` held.
    status : int8 array, one per matrix
        See `Status`.
    jitter : float64 array, one per matrix
        What was added to the diagonal on top of damping; NaN where there is no inverse.
    residual : float64 array, one per matrix
        An estimate of ``||(C + (damping + jitter) I) inverse - I||``; NaN where there is no inverse.
    log_det : float64 array, one per matrix
        ``log det(C + (damping + jitter) I)``; NaN where there is no inverse, and where it came by Newton-Schulz steps.
    """

    inverse: Arrays
    status: Array
    jitter: Array
    residual: Array
    log_det: Array

    @property
    def ok(self) -> Array:
        """True where the residual is below 1e-2, jittered or not; one per matrix."""
        return host_status(self.status) <= Status.JITTERED


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
    warm_start: Arrays | InverseResult | None = None,
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
    method : {"cholesky", "newton"}
        How to invert. ``"newton"``: by Newton-Schulz steps from ``warm_start``, matrix products only; what these do not
        lead to is inverted by Cholesky, from nothing, and has all that is said of it here.
    warm_start : arrays like ``factors``, or `InverseResult`
        Needed with ``"newton"``, and only there: inverses of earlier, similar factors, symmetric positive definite;
        only the lower triangle is read. NaN, and what is too far away, costs time and nothing else.
    on_failure : {"jitter", "keep", "raise"}
        What to do about a matrix that is not positive definite. ``"jitter"``: try again in float64, then with a
        growing jitter, ``max(4 n eps, 1e-8) 10^j max(mean |C_ii|, damping)`` for j = 0, 1, ... up to 1e-2 of that
        maximum, then give up. ``"keep"``: no second try; leave that matrix of ``out`` as it is, for every status above
        `Status.JITTERED`. ``"raise"``: no second try; raise `NotPositiveDefiniteError`, also for NaN and Inf, after the
        rest of the group is done. Statuses 5 and 6 never raise: look at ``.ok``.
    out : arrays like ``factors``
        Where the inverses go; may not share memory with ``factors``. It may be ``warm_start`` itself, or each of its
        arrays the array at the same place there: a matrix is read before its inverse is written.

    Returns
    -------
    InverseResult
        ``inverse`` like ``factors`` (or ``out``); ``status``, ``jitter``, ``residual``, ``log_det`` one per matrix.

    Raises
    ------
    ValueError
        A factor is not square, a number ``damping`` is negative or not finite, an option is unknown, ``out`` or
        ``warm_start`` does not fit, ``warm_start`` is missing with ``"newton"`` or given without it.
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

    With ``"newton"``, for A = C + damping I and X = ``warm_start``: the eigenvalues of R = I - A X must be within
    [-1/2, 1/2] (in no direction may A have changed by more than about half of itself); then ``X <- X + X R`` squares R,
    again and again, down to rounding. The status is ``OK`` only where the Frobenius norm of the last R, computed and
    not estimated, is within 45 sqrt(n) eps cond(A) and 1e-2; it is the ``residual``. ``jitter`` is 0 there, and
    ``log_det`` NaN. Products are of float64; a float64 matrix beyond a condition of some hundreds is left to Cholesky,
    because making X symmetric multiplies their rounding by it. Cost ``5 n^3`` float64 flops with one step, ``8 n^3``
    with two, where Cholesky takes n^3 in the dtype of the factor: of use where products are that much faster than
    factorisations, as they may be on a GPU, and not on a CPU. On a GPU it waits for the device, to see what is left.
    That A is positive definite follows if ``warm_start`` is, as inverses of status ``OK`` and ``JITTERED`` are; of
    others only the signs on the diagonals are looked at, and the inverse of an indefinite A may be called ``OK`` if it
    began near that inverse.
    Source: Martens and Grosse 2015, section 6.3; Newton-Schulz: Schulz 1933, "Iterative Berechnung der reziproken
    Matrix"; Ben-Israel and Cohen 1966.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.damped_inverse(np.diag([1.0, 3.0]), damping=1.0).inverse.diagonal()
    array([0.5 , 0.25])

    >>> earlier = cb.damped_inverse(np.diag([1.0, 3.0]), damping=1.0)
    >>> cb.damped_inverse(np.diag([1.1, 3.0]), 1.0, method="newton", warm_start=earlier).inverse.diagonal()
    array([0.47619048, 0.25      ])
    """
    if method not in ("cholesky", "newton"):
        raise ValueError(f'damped_inverse: method must be "cholesky" or "newton", got {method!r}')
    if (method == "newton") != (warm_start is not None):
        raise ValueError(f"damped_inverse: warm_start must be {_WARM_STARTS[method]}, got {type(warm_start).__name__}")
    if isinstance(warm_start, InverseResult):
        warm_start = warm_start.inverse
    backend = backend_of("damped_inverse", "factors", factors)
    inverse, *parts, index, minor, status = backend.damped_inverse(factors, damping, warm_start, on_failure, out)
    if index >= 0:
        where = "factors" if parts[0].ndim == 0 else f"factors[{index}]"
        raise NotPositiveDefiniteError(f"damped_inverse: {where} plus damping {reason(minor, status)}", index, minor)
    if type(factors) is not np.ndarray:
        inverse = in_kind(inverse, factors) if out is None else out
        parts = [in_kind(part, factors) for part in parts]
    return InverseResult(inverse, *parts)


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
