"""E-KFAC: second moments of gradients in the eigenbasis of a Kronecker-factored curvature (George et al. 2018)."""

from ._arrays import Arrays, Parameter, in_kind
from ._backend import backend_of

__all__ = ["update_ekfac_moments"]


def update_ekfac_moments(
    second_moments: Arrays,
    A_rows: Arrays,
    G_rows: Arrays,
    A_basis: Arrays,
    G_basis: Arrays,
    *,
    decay: Parameter = 0.95,
    scale: Parameter | None = None,
    bias: bool | list[bool] = False,
    copy: bool = False,
) -> Arrays:
    """Update second moments in place: ``S <- decay S + scale sum_n (Q_G^T grad_n Q_A)^2``, squared element by element.

    ``grad_n = sum_t g_nt a_nt^T`` is the gradient of case n; it is not formed where every case has one row.

    Parameters
    ----------
    second_moments : float32 or float64 array, shape (..., q, p), or list of arrays (q_i, p_i)
        S, one matrix a layer: out_features by in_features. Nothing of it is read where ``decay`` is 0.
    A_rows : float64, float32, float16 or bfloat16 array, shape (..., N, d) or (..., N, T, d), or list of them
        The layer's inputs: N cases, or N cases with T positions that share the weights (time steps, locations).
        d = p, or p - 1 with ``bias``. Converted to the dtype of S, in which everything is accumulated.
    G_rows : the same, shape (..., N, q) or (..., N, T, q)
        Derivatives of the loss of *one case* with respect to the layer's outputs, paired with ``A_rows``.
    A_basis : array of the dtype of S, shape (..., p, p), or list of arrays
        Q_A: eigenvectors of the input factor A, one a *column*, as ``numpy.linalg.eigh`` gives them.
    G_basis : array of the dtype of S, shape (..., q, q), or list of arrays
        Q_G: eigenvectors of the factor G, one a column.
    decay : float in [0, 1], or one per matrix
        How much of the old moments stays.
    scale : float, or one per matrix
        Default ``(1 - decay) / N``, a mean over cases.
    bias : bool, or list of bool
        Append an implicit 1 to each row of ``A_rows``; it comes last.
    copy : bool
        Leave ``second_moments`` alone and return new arrays. Needed for immutable arrays (JAX, read-only).

    Returns
    -------
    array or list of arrays
        ``second_moments``, or the new arrays with ``copy``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number out of range, moments that are read-only, or that share memory with an
        argument.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    With orthogonal bases S is the diagonal of ``U^T F U`` for the Fisher matrix ``F = E[vec(grad) vec(grad)^T]`` and
    ``U = Q_G (x) Q_A`` (row-major vec): the best diagonal in that basis, with the trace of F. The bases are used as
    they are: after they change, moments of the old ones mean nothing; start again from the outer product of the
    eigenvalues of G and A, or with ``decay=0``.

    There is no status. NaN stays within its matrix; an entry of an *array* ``decay`` or ``scale`` that is out of range
    makes that matrix NaN. No cases (N = 0) only decay. Cost ``2 N (p^2 + q^2 + p q)`` flops a matrix; with positions
    the cheaper of ``2 N T (p^2 + q^2 + p q)`` and ``2 N (T p q + p q (p + q))``.
    The result has the same bits for any number of threads, alone or in a group.
    Source: George, Laurent, Bouthillier, Ballas and Vincent 2018, section 3.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> a, g = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[1.0], [2.0]])
    >>> cb.update_ekfac_moments(np.zeros((1, 2)), a, g, np.eye(2), np.eye(1), decay=0.0)
    array([[18.5,  2. ]])
    """
    backend = backend_of("update_ekfac_moments", "second_moments", second_moments)
    updated = backend.update_ekfac_moments(second_moments, A_rows, G_rows, A_basis, G_basis, decay, scale, bias, copy)
    return in_kind(updated, second_moments) if copy else second_moments
