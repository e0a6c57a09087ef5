"""Recurrent K-FAC: statistics of rows that are some steps of time apart (Martens, Ba and Johnson 2018)."""

from ._arrays import Arrays, Parameter, in_kind
from ._backend import backend_of

__all__ = ["update_lagged_factors"]


def update_lagged_factors(
    factors: Arrays,
    rows: Arrays,
    *,
    lag: int = 1,
    symmetric: bool = False,
    decay: Parameter = 0.95,
    scale: Parameter | None = None,
    bias: bool | list[bool] = False,
    copy: bool = False,
) -> Arrays:
    """Update lagged factors in place: ``C <- decay C + scale sum_n sum_t x_{n, t + lag} x_{n, t}^T``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        In general *not* symmetric: read and written whole. Nothing of it is read where ``decay`` is 0.
    rows : float64, float32, float16 or bfloat16 array, shape (..., N, T, d), or list of them
        N sequences of T steps. d = n, or n - 1 with ``bias``. Converted to the dtype of the factor, in which everything
        is accumulated.
    lag : int >= 0
        Steps between the two rows of a product; the sum has the T - lag terms t = 0 ... T - lag - 1 of every sequence,
        none where lag >= T.
    symmetric : bool
        Accumulate ``(x_{t + lag} x_t^T + x_t x_{t + lag}^T) / 2``, for models that assume a symmetric transition. The
        factors are then symmetric: only the lower triangle is read, and what is written is exactly symmetric.
    decay : float in [0, 1], or one per matrix
        How much of the old factor stays.
    scale : float, or one per matrix
        Default ``(1 - decay) / (N T)``, for every lag, although a lag has only N (T - lag) terms: so the block-Toeplitz
        matrix of the factors of all lags stays positive semidefinite. Note that `update_factors` divides by N: with
        lag 0 this function gives its result divided by T.
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
        Shapes that do not fit, a number out of range, factors that are read-only, or that share memory with ``rows``.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.

    Notes
    -----
    There is no status. NaN stays within its matrix; an entry of an *array* ``decay`` or ``scale`` that is out of range
    makes that matrix NaN. No rows (N = 0 or T = 0) only decay. Cost 2 N (T - lag) n^2 flops a matrix.
    The result has the same bits for any number of threads, alone or in a group.
    Source: Martens, Ba and Johnson 2018.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> x = np.array([[[1.0, 2.0], [3.0, 4.0]]])  # one sequence of two steps
    >>> cb.update_lagged_factors(np.zeros((2, 2)), x, decay=0.0)
    array([[1.5, 3. ],
           [2. , 4. ]])
    """
    backend = backend_of("update_lagged_factors", "factors", factors)
    updated = backend.update_lagged_factors(factors, rows, lag, symmetric, decay, scale, bias, copy)
    return in_kind(updated, factors) if copy else factors
