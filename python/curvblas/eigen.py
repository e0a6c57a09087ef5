"""Eigenbases of symmetric matrices: one array, a stack, or a list of different sizes, in one native call."""

from dataclasses import dataclass

import numpy as np

from ._arrays import Array, Arrays, in_kind
from ._backend import backend_of
from .errors import Status, host_status

__all__ = ["Eigenbasis", "eigenbasis"]


@dataclass(frozen=True, slots=True)
class Eigenbasis:
    """Eigenvalues and eigenvectors with what is known about each of them.

    Attributes
    ----------
    values : array or list of arrays, shape (..., n)
        Ascending, in the dtype of the factors. Those of a failed matrix are NaN.
    vectors : array or list of arrays, shape (..., n, n)
        ``vectors[..., :, j]`` belongs to ``values[..., j]``: columns, as in `numpy.linalg.eigh`. Those of a failed
        matrix are NaN.
    status : int8 array, one per matrix
        See `Status`.
    residual : float64 array, one per matrix
        An estimate of ``||C vectors - vectors diag(values)||_F / ||C||_F``; 0 for a zero matrix, NaN where nothing was
        computed.
    """

    values: Arrays
    vectors: Arrays
    status: Array
    residual: Array

    @property
    def ok(self) -> Array:
        """True where there is an eigenbasis; one per matrix."""
        return host_status(self.status) == Status.OK


def eigenbasis(factors: Arrays, *, warm_start: Arrays | Eigenbasis | None = None) -> Eigenbasis:
    """Decompose symmetric matrices: ``C = vectors diag(values) vectors^T``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        Symmetric; only the lower triangle is read. Never modified. Positive, negative and zero eigenvalues are equally
        welcome.
    warm_start : Eigenbasis, or arrays like ``factors``
        The eigenbasis of matrices near ``factors``, or its vectors. It may save time and never costs accuracy: a basis
        that is NaN or not orthonormal is not used. Devices use it up to n = 127; the CPU does not, because beginning
        anew is as fast there.

    Returns
    -------
    Eigenbasis
        ``values``, ``vectors`` like ``factors``; ``status`` and ``residual`` one per matrix.

    Raises
    ------
    ValueError
        A factor is not square, or ``warm_start`` has another shape.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.

    Notes
    -----
    Signs are canonical: the entry of largest magnitude of each eigenvector is positive (the first one of several). The
    vectors of eigenvalues that are equal to rounding are some orthonormal basis of what they span.

    Each matrix is scaled by a power of two, so that one of 1e-40 or 1e30 is as good as one of 1. The residual and the
    departure of ``vectors`` from orthonormality are a few n eps, with the eps of the dtype: eigenvalues are known to
    that times the *largest* of them. Small ones of a float32 matrix need float64.

    Statuses: ``OK``, ``NOT_FINITE``, ``NO_CONVERGENCE``, ``INACCURATE`` (a residual above 1e-2, which happens where an
    eigenvalue overflows, or denormal ones are too coarse). One bad matrix never touches another one. Cost at most 6 n^3
    flops a matrix. The result has the same bits for any number of threads, alone or in a group.
    Source: Golub and Van Loan 2013, chapter 8.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> basis = cb.eigenbasis(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> basis.values
    array([1., 3.])
    >>> np.round(basis.vectors, 3)
    array([[ 0.707,  0.707],
           [-0.707,  0.707]])
    """
    backend = backend_of("eigenbasis", "factors", factors)
    if isinstance(warm_start, Eigenbasis):
        warm_start = warm_start.vectors
    parts = backend.eigenbasis(factors, warm_start)
    if type(factors) is not np.ndarray:
        parts = tuple(in_kind(part, factors) for part in parts)
    return Eigenbasis(*parts)
