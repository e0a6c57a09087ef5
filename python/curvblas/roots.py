"""Matrix functions: inverse p-th roots (Shampoo), and orthogonalisation by Newton-Schulz steps (Muon)."""

from dataclasses import dataclass

import numpy as np

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of
from .errors import Status, host_status

__all__ = ["RootResult", "inverse_root", "newton_schulz"]


@dataclass(frozen=True, slots=True)
class RootResult:
    """Inverse roots with what is known about each of them.

    Attributes
    ----------
    root : array or list of arrays, shape (..., n, n)
        Like the factors: full storage, exactly symmetric. A failed matrix is NaN.
    status : int8 array, one per matrix
        See `Status`.
    residual : float64 array, one per matrix
        An estimate of ``||root^p (C + damping I) - I||``; NaN where there is no root.
    """

    root: Arrays
    status: Array
    residual: Array

    @property
    def ok(self) -> Array:
        """True where the residual is below 1e-2; one per matrix."""
        return host_status(self.status) <= Status.JITTERED


def inverse_root(factors: Arrays, p: int, damping: Parameter, *, method: str = "eigh") -> RootResult:
    """Compute inverse p-th roots of matrices shifted by damping: ``(C + damping I)^(-1/p)``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        Symmetric; only the lower triangle is read. Never modified.
    p : int in 1 ... 1024
        The same for the whole group. 1 gives the inverse, 2 the whitening matrix, 4 Shampoo's root for matrices.
    damping : float >= 0, or one per matrix
        In the unit of the eigenvalues of ``factors``.
    method : {"eigh", "newton"}
        ``"eigh"``: from eigenvalues and eigenvectors. ``"newton"``: coupled Newton iterations, which are matrix
        products only; for well-conditioned matrices, and for devices.

    Returns
    -------
    RootResult
        ``root`` like ``factors``; ``status`` and ``residual`` one per matrix.

    Raises
    ------
    ValueError
        A factor is not square, a number is out of range, the method is unknown.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.

    Notes
    -----
    Statuses: ``OK``; ``NOT_POSITIVE_DEFINITE``: an eigenvalue of ``C + damping I`` is not above ``n 2.2e-16`` times the
    largest magnitude of those of C. What is smaller than that, of either sign, is rounding: nothing is clipped to it,
    and there is no jitter; pass a damping. ``NOT_FINITE``; ``NO_CONVERGENCE``; ``INVALID_PARAMETER`` (a bad entry of an
    *array* ``damping``); ``INACCURATE``: the residual is above 1e-2, after rounding to the dtype of the factor, which
    alone costs up to p eps times the condition number. An inaccurate root that is finite is returned with its residual;
    other failures are NaN. The residual is measured in float64 and knows nothing of how the root was computed. A
    float32 root whose residual is above 1e-3 is computed again in float64. One bad matrix never touches another one.
    Cost about ``10 n^3`` flops a matrix (eigh), or ``(2 log2 p + 4) n^3`` an iteration (newton; 8 to 40 iterations).
    The result has the same bits for any number of threads, alone or in a group.
    Source: Gupta, Koren and Singer 2018 (Shampoo); Guo and Higham 2006 (Newton iterations).

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.inverse_root(np.diag([15.0, 80.0]), 4, damping=1.0).root.diagonal().round(6)
    array([0.5     , 0.333333])
    """
    backend = backend_of("inverse_root", "factors", factors)
    root, *parts = backend.inverse_root(factors, p, damping, method)
    if type(factors) is not np.ndarray:
        root, parts = in_kind(root, factors), [in_kind(part, factors) for part in parts]
    return RootResult(root, *parts)


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
    more steps converge to it. Zeros give zeros, and a matrix whose norm is not far above 1e-7 comes out too small:
    scale it first. There is no status: a matrix that holds NaN or Inf becomes NaN.
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
