"""Natural gradients in the space of samples, from the rows of layers instead of a Jacobian."""

from ._arrays import Array, in_kind
from ._backend import backend_of
from .sample_space import SampleSpaceResult

__all__ = ["layer_gram", "sample_space_solve_layers"]


def layer_gram(A_rows: list[Array], G_rows: list[Array], *, bias: bool | list[bool] = False) -> Array:
    """Multiply the gradients of cases with each other, without forming them: ``K = J J^T``.

    A row of J holds the gradient of a case, ``sum_t g_t a_t^T`` of every layer. Its products are ``K_nm = sum over
    layers and t, u of (a_nt . a_mu) (g_nt . g_mu)``.

    Parameters
    ----------
    A_rows : list of float32 or float64 arrays, shape (N, p) or (N, T, p)
        Inputs of each layer, for the same N cases. T positions share weights; it may differ between layers.
    G_rows : list of arrays, shape (N, q) or (N, T, q)
        Derivatives by the outputs of each layer, of each case by itself.
    bias : bool, or one per layer
        Append a 1 to each row of A.

    Returns
    -------
    float64 array, shape (N, N)
        Exactly symmetric.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        A_rows is no list, or an empty one; a dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    There is no status: NaN, Inf and squares that the dtype does not hold make the products of their case NaN. Cost per
    layer: N^2 (p + q) flops, with positions N^2 T^2 (p + q) or, if that is less, N^2 p q + 2 N T p q by the gradients
    of cases, some rows at a time. Products are formed as by `gram`, gradients in the dtype of the rows; memory some
    200 MB at most, or what the products of one case take. The result has the same bits for any number of threads.

    Source: the identity of Kronecker products of single rows, as in Ren and Goldfarb 2019.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.layer_gram([np.array([[1.0, 2.0], [0.0, 1.0]])], [np.array([[3.0], [1.0]])])
    array([[45.,  6.],
           [ 6.,  1.]])
    """
    return in_kind(backend_of("layer_gram", "A_rows", A_rows).layer_gram(A_rows, G_rows, bias), A_rows)


def sample_space_solve_layers(
    A_rows: list[Array], G_rows: list[Array], rhs: Array, damping: float, *, bias: bool | list[bool] = False
) -> SampleSpaceResult:
    """Solve ``x = J^T (J J^T + damping I)^-1 rhs`` from the rows of layers, without a Jacobian.

    Parameters
    ----------
    A_rows : list of float32 or float64 arrays, shape (N, p) or (N, T, p)
        As in `layer_gram`.
    G_rows : list of arrays, shape (N, q) or (N, T, q)
        As in `layer_gram`.
    rhs : array, shape (N,)
        One number for each case.
    damping : float >= 0
        In the unit of the squares of gradients.
    bias : bool, or one per layer
        Append a 1 to each row of A.

    Returns
    -------
    SampleSpaceResult
        ``solution``: one array (q, p) for each layer, or (q, p + 1) with a bias: ``sum over n and t of w_n g_nt
        a_nt^T`` with ``w = (K + damping I)^-1 rhs``. ``status``: one.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a number ``damping`` that is negative or not finite.
    TypeError
        A_rows is no list, or an empty one; a dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    K is that of `layer_gram`, solved as by `sample_space_solve`, with its statuses. Cost: that of `layer_gram`, N^3 /
    3 flops, 2 N T p q a layer, and a copy of the rows of G. On a device the call waits once. The result has the same
    bits for any number of threads.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> A, G = [np.array([[1.0, 2.0]])], [np.array([[3.0]])]
    >>> cb.sample_space_solve_layers(A, G, np.array([10.0]), 5.0).solution
    [array([[0.6, 1.2]])]
    """
    backend = backend_of("sample_space_solve_layers", "A_rows", A_rows)
    solution, status = backend.sample_space_solve_layers(A_rows, G_rows, rhs, damping, bias)
    return SampleSpaceResult(in_kind(solution, A_rows), in_kind(status, A_rows))
