"""The packed form of symmetric matrices: the lower triangles of a whole network's factors in one flat buffer.

One buffer to reduce over workers, or to save, at half the memory. Every function does the whole group in one native
call, without arrays of indices.
"""

from ._arrays import Array, Arrays, in_kind
from ._backend import backend_of

__all__ = ["pack_symmetric", "unpack_symmetric"]


def pack_symmetric(factors: Arrays, *, out: Array | None = None) -> Array:
    """Pack the lower triangles of a group of symmetric matrices into one flat array.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        Symmetric; only the lower triangle is read. Never modified.
    out : array, shape (sum of n_i (n_i + 1) / 2,)
        Where the packed form goes; may not share memory with ``factors``.

    Returns
    -------
    array, shape (sum of n_i (n_i + 1) / 2,)
        A new array, or ``out``. The matrices come one after the other (those of a stack in C order), each row by row:
        row i gives its i + 1 first elements. A single matrix gives ``C[np.tril_indices(n)]``.

    Raises
    ------
    ValueError
        A factor is not square; ``out`` has another length, is read-only or shares memory with a factor.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.

    Notes
    -----
    There is no status: NaN and Inf are copied like other numbers. Cost n (n + 1) words a matrix, at memory speed where
    rows are contiguous. Symmetry is not checked: what is above the diagonal is lost.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.pack_symmetric([np.array([[1.0, 2.0], [2.0, 3.0]]), np.array([[4.0]])])
    array([1., 2., 3., 4.])
    """
    packed = backend_of("pack_symmetric", "factors", factors).pack_symmetric(factors, out)
    return in_kind(packed, factors) if out is None else out


def unpack_symmetric(flat: Array, sizes: int | list[int] | tuple[int, ...], *, out: Arrays | None = None) -> Arrays:
    """Unpack symmetric matrices from one flat array: the inverse of `pack_symmetric`.

    Parameters
    ----------
    flat : float32 or float64 array, shape (sum of n_i (n_i + 1) / 2,)
        Lower triangles, as `pack_symmetric` gives them. Never modified.
    sizes : int, or list of int
        n of the one matrix, or n_i of each. An int with a stack as ``out`` is the n of all its matrices.
    out : array, shape (n, n) or (..., n, n), for an int; list of arrays (n_i, n_i) for a list
        Where the matrices go; may not share memory with ``flat``.

    Returns
    -------
    array or list of arrays
        One matrix for an int, a list for a list; or ``out``. Full storage, exactly symmetric. The matrices of a list
        share one allocation.

    Raises
    ------
    ValueError
        ``flat`` has another length than the sizes make; a size is negative; ``out`` has other sizes, is read-only or
        shares memory with ``flat``.
    TypeError
        A size is no integer; a dtype, device or library that does not fit.

    Notes
    -----
    There is no status: NaN and Inf are copied like other numbers. Cost n (3 n + 1) / 2 words a matrix, at memory speed.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.unpack_symmetric(np.array([1.0, 2.0, 3.0]), 2)
    array([[1., 2.],
           [2., 3.]])
    >>> [C.shape for C in cb.unpack_symmetric(np.arange(4.0), [2, 1])]
    [(2, 2), (1, 1)]
    """
    matrices = backend_of("unpack_symmetric", "flat", flat).unpack_symmetric(flat, sizes, out)
    return in_kind(matrices, flat) if out is None else out
