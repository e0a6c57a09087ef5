"""Cholesky factors of damped matrices, and the linear systems that they solve."""

from dataclasses import dataclass

import numpy as np

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of
from .errors import NotPositiveDefiniteError, Status, host_status, reason

__all__ = ["CholeskyResult", "cholesky_solve", "damped_cholesky", "triangular_solve"]


@dataclass(frozen=True, slots=True)
class CholeskyResult:
    """Cholesky factors with what is known about each of them.

    Attributes
    ----------
    factor : array or list of arrays, shape (..., n, n)
        L, lower triangular with zeros above the diagonal. A failed matrix is NaN, or with
        ``on_failure="keep"`` what ``out`` held.
    status : int8 array, one per matrix
        See `Status`.
    jitter : float64 array, one per matrix
        What was added to the diagonal on top of damping; NaN where there is no factor.
    log_det : float64 array, one per matrix
        ``log det(C + (damping + jitter) I)``; NaN where there is no factor.
    """

    factor: Arrays
    status: Array
    jitter: Array
    log_det: Array

    @property
    def ok(self) -> Array:
        """True where there is a factor, jittered or not; one per matrix."""
        return host_status(self.status) <= Status.JITTERED


def damped_cholesky(
    factors: Arrays, damping: Parameter, *, on_failure: str = "jitter", out: Arrays | None = None
) -> CholeskyResult:
    """Factorise matrices shifted by damping: ``L L^T = C + damping I``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        Symmetric; only the lower triangle is read. Never modified.
    damping : float >= 0, or one per matrix
        In the unit of the eigenvalues of ``factors``.
    on_failure : {"jitter", "keep", "raise"}
        What to do about a matrix that is not positive definite, as in `damped_inverse`: try again in float64, then with
        a growing jitter; leave that matrix of ``out`` as it is; or raise `NotPositiveDefiniteError`.
    out : arrays like ``factors``
        Where L goes; may not share memory with ``factors``.

    Returns
    -------
    CholeskyResult
        ``factor`` like ``factors`` (or ``out``); ``status``, ``jitter``, ``log_det`` one per matrix.

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
    Statuses: ``OK``, ``JITTERED``, ``NOT_POSITIVE_DEFINITE``, ``NOT_FINITE``, ``INVALID_PARAMETER`` (a bad entry of an
    *array* ``damping``), ``INACCURATE`` (L does not fit the dtype). There is no residual: where there is a factor,
    ``||L L^T - (C + (damping + jitter) I)||`` is at most n eps times the norm of the matrix (Higham 2002, Theorem
    10.3). A float32 matrix whose pivots lose their digits is factorised in float64, so that ``log_det`` is right.
    Cost n^3 / 3 flops a matrix. The result has the same bits for any number of threads, alone or in a group.
    Source: Martens and Grosse 2015, section 6.3, for the damping.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.damped_cholesky(np.array([[3.0, 2.0], [2.0, 4.0]]), damping=1.0).factor
    array([[2., 0.],
           [1., 2.]])
    """
    backend = backend_of("damped_cholesky", "factors", factors)
    factor, *parts, index, minor, status = backend.damped_cholesky(factors, damping, on_failure, out)
    if index >= 0:
        where = "factors" if parts[0].ndim == 0 else f"factors[{index}]"
        raise NotPositiveDefiniteError(f"damped_cholesky: {where} plus damping {reason(minor, status)}", index, minor)
    if type(factors) is not np.ndarray:
        factor = in_kind(factor, factors) if out is None else out
        parts = [in_kind(part, factors) for part in parts]
    return CholeskyResult(factor, *parts)


def triangular_solve(factors: Arrays, rhs: Arrays, *, transpose: bool = False, out: Arrays | None = None) -> Arrays:
    """Solve linear systems with lower triangular matrices: ``L X = B``, or ``L^T X = B``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        L; only the lower triangle is read. Its diagonal is not taken to be 1.
    rhs : array, shape (..., n, k), or list of arrays (n_i, k_i)
        B. A single right-hand side is an (n, 1) array.
    transpose : bool
        Solve with ``L^T``.
    out : arrays like ``rhs``
        Where X goes; may not share memory with any input.

    Returns
    -------
    array or list of arrays
        X, like ``rhs``, or ``out``.

    Raises
    ------
    ValueError
        Shapes that do not fit, ``out`` that is read-only or shares memory with an input.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    There is no status: NaN stays within its matrix, and a zero on the diagonal gives Inf or NaN. Cost n^2 k flops a
    matrix. The result has the same bits for any number of threads, alone or in a group.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> L = np.array([[2.0, 0.0], [1.0, 2.0]])
    >>> cb.triangular_solve(L, np.array([[2.0], [5.0]])).ravel()
    array([1., 2.])
    >>> cb.triangular_solve(L, np.array([[4.0], [4.0]]), transpose=True).ravel()
    array([1., 2.])
    """
    backend = backend_of("triangular_solve", "factors", factors)
    solution = backend.triangular_solve(factors, rhs, transpose, out)
    return in_kind(solution, rhs) if out is None else out


def cholesky_solve(factors: Arrays, rhs: Arrays, *, out: Arrays | None = None) -> Arrays:
    """Solve linear systems with Cholesky factors: ``L L^T X = B``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        L, as ``damped_cholesky(...).factor``; only the lower triangle is read.
    rhs : array, shape (..., n, k), or list of arrays (n_i, k_i)
        B. A single right-hand side is an (n, 1) array.
    out : arrays like ``rhs``
        Where X goes; may not share memory with any input.

    Returns
    -------
    array or list of arrays
        X, like ``rhs``, or ``out``.

    Raises
    ------
    ValueError
        Shapes that do not fit, ``out`` that is read-only or shares memory with an input.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    There is no status: NaN stays within its matrix, so a failed factor (NaN) gives a NaN solution. Cost 2 n^2 k flops a
    matrix. For fewer than about n / 2 right-hand sides a matrix this is cheaper than `damped_inverse`, and it is more
    accurate. The result has the same bits for any number of threads, alone or in a group.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> L = cb.damped_cholesky(np.array([[3.0, 2.0], [2.0, 4.0]]), damping=1.0).factor
    >>> cb.cholesky_solve(L, np.array([[6.0], [7.0]])).round(12).ravel()
    array([1., 1.])
    """
    solution = backend_of("cholesky_solve", "factors", factors).cholesky_solve(factors, rhs, out)
    return in_kind(solution, rhs) if out is None else out
