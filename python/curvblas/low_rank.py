"""Products of few long rows, and systems with matrices that they span."""

from ._arrays import Arrays, Parameter, in_kind
from ._backend import backend_of

__all__ = ["gram", "gram_products", "low_rank_solve"]


def gram(rows: Arrays) -> Arrays:
    """Multiply long rows with each other: ``R R^T``.

    Parameters
    ----------
    rows : float32 or float64 array, shape (..., m, n), or list of arrays (m_i, n_i)
        R. Fastest where the n elements of a row are neighbours.

    Returns
    -------
    float64 array or list of arrays, shape (..., m, m)
        Exactly symmetric. float64 whatever R is: what is decomposed or solved next is small.

    Raises
    ------
    ValueError
        An array with less than two axes.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``rows``.

    Notes
    -----
    There is no status: NaN and Inf spread to the products of their row. Products of up to 8 rows are formed in float64,
    which memory bounds anyway. Others are formed in the dtype of R, summed in it over 4 kB of a row (m > 32, and on a
    device: 4,096 elements) and in float64 beyond. Cost m (m + 1) n flops a matrix; m n words, read once. The result has
    the same bits for any number of threads, alone or in a group.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.gram(np.array([[1.0, 2.0, 2.0], [0.0, 3.0, 4.0]]))
    array([[ 9., 14.],
           [14., 25.]])
    """
    return in_kind(backend_of("gram", "rows", rows).gram(rows), rows)


def gram_products(rows: Arrays, vectors: Arrays) -> tuple[Arrays, Arrays]:
    """Multiply long rows with each other and with vectors: ``R R^T`` and ``R V``, in one pass over R.

    Parameters
    ----------
    rows : float32 or float64 array, shape (..., m, n), or list of arrays (m_i, n_i)
        R. Fastest where the n elements of a row are neighbours.
    vectors : array, shape (..., n) or (..., n, s), or list of arrays (n_i,) or (n_i, s_i)
        One vector for the rows of a matrix, or the columns of V. Fastest where the elements of a vector are neighbours:
        the transpose of an (s, n) array.

    Returns
    -------
    squares : float64 array or list of arrays, shape (..., m, m)
        ``R R^T``, exactly symmetric.
    products : float64 array or list of arrays, shape (..., m) or (..., m, s)
        ``R V``.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    As `gram`; more than 32 rows are read twice. Cost m (m + 1) n + 2 m s n flops a matrix, (m + s) n words.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> squares, products = cb.gram_products(np.array([[1.0, 2.0, 2.0], [0.0, 3.0, 4.0]]), np.array([1.0, 1.0, 0.0]))
    >>> products
    array([3., 3.])
    """
    squares, products = backend_of("gram_products", "rows", rows).gram_products(rows, vectors)
    return in_kind(squares, rows), in_kind(products, rows)


def low_rank_solve(
    basis: Arrays, values: Arrays, damping: Parameter, grads: Arrays, *, out: Arrays | None = None
) -> Arrays:
    """Solve systems with a low-rank matrix plus damping: ``(U^T diag(values) U + damping I)^-1 g``.

    Parameters
    ----------
    basis : float32 or float64 array, shape (..., k, n), or list of arrays (k_i, n_i)
        U, orthonormal rows; that they are is not looked at.
    values : array, shape (..., k), or list of arrays (k_i,)
        Eigenvalues, one a row of U.
    damping : float > 0, or one per matrix
        In the unit of ``values``.
    grads : array, shape (..., n) or (..., s, n), or list of arrays (n_i,) or (s_i, n_i)
        One gradient for each basis, or s of them as rows.
    out : arrays like ``grads``
        Where the solutions go; may not share memory with any input.

    Returns
    -------
    array or list of arrays
        Solutions, like ``grads``, or ``out``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number ``damping`` that is not positive or not finite, ``out`` that is read-only or
        shares memory with an input.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    There is no status: NaN stays within its matrix, and so does a bad entry of an *array* ``damping``. Computed as
    ``g / damping - U^T diag(values / (damping (values + damping))) U g``, which takes any k <= n, and values that are
    small or zero. Cost 4 k s n flops a matrix; (2 k + 3 s) n words. The result has the same bits for any number of
    threads, alone or in a group. Source: the matrix inversion lemma (Woodbury 1950).

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.low_rank_solve(np.array([[1.0, 0.0, 0.0]]), np.array([3.0]), 1.0, np.array([8.0, 2.0, 0.0]))
    array([2., 2., 0.])
    """
    backend = backend_of("low_rank_solve", "basis", basis)
    solution = backend.low_rank_solve(basis, values, damping, grads, out)
    return in_kind(solution, grads) if out is None else out
