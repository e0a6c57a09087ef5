"""Inverse-free K-FAC: roots of the inverse factors, kept up to date by matrix products alone (SINGD, IKFAC)."""

from ._arrays import Arrays, Parameter, in_kind
from ._backend import backend_of

__all__ = ["update_inverse_free"]


def update_inverse_free(
    K: Arrays,
    C: Arrays,
    A: Arrays,
    G: Arrays,
    K_momentum: Arrays,
    C_momentum: Arrays,
    *,
    damping: Parameter = 1e-3,
    step: Parameter = 1e-2,
    momentum: Parameter = 0.5,
    rule: str = "singd",
    copy: bool = False,
) -> tuple[Arrays, Arrays, Arrays, Arrays]:
    """Update roots of inverse Kronecker factors in place: ``K K^T`` for ``(A + damping I)^-1``, C for G.

    ``m_K <- momentum m_K + ((tr H_C / q) H_K + damping (tr(C^T C) / q) K^T K - I) / 2`` and ``K <- K - step K m_K``,
    with ``H_K = K^T A K`` and ``H_C = C^T G C``; likewise m_C and C, with the traces of the old K. The rule ``"ikfac"``
    is without the traces: ``m_K <- momentum m_K + (H_K + damping K^T K - I) / 2``.

    Parameters
    ----------
    K : float32 or float64 array, shape (..., p, p), or list of arrays
        Roots for the input factors, one a layer. Start with the identity. Written.
    C : array, shape (..., q, q), or list of arrays
        Roots for the factors of the output derivatives, paired with ``K``. Start with the identity. Written.
    A : array, shape (..., p, p), or list of arrays
        The curvature of the *present* minibatch, ``a^T a / N``, symmetric, read whole: the averaging is done by K.
    G : array, shape (..., q, q), or list of arrays
        ``g^T g / N``, likewise.
    K_momentum, C_momentum : arrays like ``K`` and like ``C``
        m_K and m_C. Start with zeros. Written; nothing of them is read where ``momentum`` is 0.
    damping : float >= 0, or one per layer
        In the units of the eigenvalues of ``A`` and of ``G``.
    step : float >= 0, or one per layer
        The learning rate of the roots. It must stay well below the inverse of the norms of m_K and m_C: the update is
        the first-order part of a matrix exponential.
    momentum : float in [0, 1], or one per layer
        How much of m stays.
    rule : {"singd", "ikfac"}
        With or without the traces of the other factor.
    copy : bool
        Leave ``K``, ``C`` and their momenta alone and return new arrays. Needed for immutable arrays (JAX, read-only).

    Returns
    -------
    tuple of four
        ``(K, C, K_momentum, C_momentum)``: the arguments, or the new arrays with ``copy``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number out of range, an unknown rule, arrays that are read-only or share memory.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    The direction is ``(C C^T) V (K K^T)``: `precondition` with ``A_inv = K K^T`` and ``G_inv = C C^T``. Nothing is
    factorised, so that nothing fails; there is no status. With ``"ikfac"``, no momentum, and a step of ``1 - decay``,
    ``K K^T`` follows the inverse of the moving average of ``A + damping I`` to second order in the step, and where A
    stays it ends at ``(A + damping I)^-1``. With a step that is too large K overflows: `all_finite` tells.

    NaN in one layer stays within that layer, and an entry of an *array* ``damping``, ``step`` or ``momentum`` that is
    out of range makes its layer NaN. Cost ``6 (p^3 + q^3)`` flops a layer. The result has the same bits for any number
    of threads, alone or in a group.
    Source: Lin, Dangel, Eschenhagen, Neklyudov, Kristiadi, Turner and Makhzani 2024, "Structured inverse-free natural
    gradient".

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> A, G = np.diag([1.0, 4.0]), np.array([[1.0]])
    >>> K, C, m_K, m_C = np.eye(2), np.eye(1), np.zeros((2, 2)), np.zeros((1, 1))
    >>> for _ in range(200):
    ...     _ = cb.update_inverse_free(K, C, A, G, m_K, m_C, damping=0.0, step=0.2, momentum=0.0, rule="ikfac")
    >>> np.round(K @ K.T, 6)
    array([[1.  , 0.  ],
           [0.  , 0.25]])
    """
    updated = backend_of("update_inverse_free", "K", K).update_inverse_free(
        K, C, A, G, K_momentum, C_momentum, damping, step, momentum, rule, copy
    )
    return tuple(in_kind(part, K) for part in updated) if copy else (K, C, K_momentum, C_momentum)
