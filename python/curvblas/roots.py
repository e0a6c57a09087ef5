"""Matrix functions: orthogonalisation by Newton-Schulz steps (Muon)."""

from ._arrays import Arrays, in_kind
from ._backend import backend_of

__all__ = ["newton_schulz"]


def newton_schulz(
    matrices: Arrays, *, steps: int = 5, coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
) -> Arrays:
    """Orthogonalise matrices as Muon does: push their singular values towards 1 by a few polynomial steps.

    Parameters
    ----------
    matrices : float32 or float64 array, shape (..., m, n), or list of arrays (m_i, n_i)
        Gradients, or their momentum. Never modified.
    steps : int >= 0
        How often the polynomial is applied.
    coefficients : three floats
        a, b, c of ``p(s) = a s + b s^3 + c s^5``.

    Returns
    -------
    array or list of arrays
        Like ``matrices``: ``U p(p(.. p(S / (||S|| + 1e-7)))) V^T`` for a matrix ``U S V^T``.

    Raises
    ------
    ValueError
        An array is not a matrix, a number is out of range.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``matrices``.

    Notes
    -----
    *Not* the polar factor: with the default coefficients p has no fixed point at 1. After 5 steps singular values that
    were at least 1e-2 of the Frobenius norm lie in 0.68 ... 1.13, and smaller ones stay smaller; ``(1.5, -0.5, 0)`` and
    more steps converge to it. Zeros give zeros, and a matrix whose norm is not far above 1e-7 comes out too small: scale
    it first. There is no status: a matrix that holds NaN or Inf becomes NaN.
    Cost ``s^2 (3 l + s)`` flops per step for ``s = min(m, n)``, ``l = max(m, n)``. The result has the same bits for any
    number of threads, alone or in a group. Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers".

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.newton_schulz(np.diag([3.0, 4.0]), steps=20, coefficients=(1.5, -0.5, 0.0)).round(6)
    array([[1., 0.],
           [0., 1.]])
    """
    backend = backend_of("newton_schulz", "matrices", matrices)
    return in_kind(backend.newton_schulz(matrices, steps, coefficients), matrices)
