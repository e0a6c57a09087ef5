"""What K-FAC makes of its factors now and then: inverses, or eigenbases with what gradients are divided by there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arrays import Array
from ..damping import factored_damping
from ..eigen import eigenbasis
from ..kronecker import damped_inverse
from ..preconditioning import precondition
from ..roots import inverse_root
from ._places import on_host, placed, statuses

Solvers = list[tuple[Array, ...]]
"""One for each layer: ``(A_inv, G_inv)``, or ``(A_vectors, G_vectors, moments)``."""


def inverses(A: list[Array], G: list[Array], damping: float) -> tuple[Solvers, list[int]]:
    """Invert the factors of a group of layers with factored damping.

    Parameters
    ----------
    A, G : lists of arrays, shapes (p, p), (q, q)
    damping : float > 0

    Returns
    -------
    solvers : list of (A_inv, G_inv)
    status : list of int
    """
    dampings = _factored_damping(A, G, [damping] * len(A))
    result = damped_inverse(A + G, dampings)
    return _paired(len(A), result.inverse), _worst(len(A), result.status)


def eigenbases(A: list[Array], G: list[Array], warm_start: list[Any] | None) -> tuple[Solvers, list[int]]:
    """Decompose the factors of a group of layers; the moments are the products of the eigenvalues.

    Parameters
    ----------
    A, G : lists of arrays, shapes (p, p), (q, q)
    warm_start : list of arrays, or None
        Earlier eigenvectors of all A, then of all G.

    Returns
    -------
    solvers : list of (A_vectors, G_vectors, moments)
    status : list of int
    """
    basis = eigenbasis(A + G, warm_start=warm_start)
    values = [np.maximum(on_host(each), 0) for each in basis.values]
    moments = [placed(np.outer(g, a), A[0]) for a, g in _paired(len(A), values)]
    solvers = [(*pair, S) for pair, S in zip(_paired(len(A), basis.vectors), moments, strict=True)]
    return solvers, _worst(len(A), basis.status)


def transitions(
    A: list[Array], G: list[Array], A_lagged: list[Array], G_lagged: list[Array], damping: float, steps: Sequence[int]
) -> tuple[Solvers, list[int]]:
    """Diagonalise the curvature of recurrent layers, whose rows at neighbouring steps correlate.

    With ``A_0^-1/2 A_1 A_0^-1/2 = U_A diag(psi_A) U_A^T`` and the same for G, the curvature ``sum_d (T - |d|) G_d (x)
    A_d`` of a stationary process with symmetric transitions is diagonal in ``L_A = A_0^-1/2 U_A`` and L_G.

    Parameters
    ----------
    A, G, A_lagged, G_lagged : lists of arrays, shapes (p, p), (q, q)
        At lag 0 and at lag 1; means over cases and steps.
    damping : float > 0
        Of ``T G_0 (x) A_0``; that of ``G_0 (x) A_0`` is one T-th of it.
    steps : sequence of int
        T of each layer.

    Returns
    -------
    solvers : list of (L_A, L_G, moments)
        Moments are ``T + 2 sum_d (T - d) x^d`` at ``x = psi_G psi_A^T``.
    status : list of int
    """
    dampings = _factored_damping(A, G, [damping / T for T in steps])
    root = inverse_root(A + G, 2, dampings)
    basis = eigenbasis(precondition(A_lagged + G_lagged, root.root, root.root))
    values = [on_host(each) for each in basis.values]
    ones = [placed(np.eye(len(each), dtype=each.dtype), A[0]) for each in values]
    decorrelating = _paired(len(A), precondition(root.root, A_inv=basis.vectors, G_inv=ones))
    totals = [placed(_total(np.outer(g, a), T), A[0]) for (a, g), T in zip(_paired(len(A), values), steps, strict=True)]
    pairs = zip(_worst(len(A), root.status), _worst(len(A), basis.status), strict=True)
    return [(*pair, S) for pair, S in zip(decorrelating, totals, strict=True)], [max(pair) for pair in pairs]


def _total(x: np.ndarray, T: int) -> np.ndarray:
    # Summed by Horner's rule: the closed form cancels where x is near 1. Beyond 1 there is only rounding.
    within, total = np.clip(np.float64(x), -1, 1), np.zeros(x.shape)
    for d in range(T - 1, 0, -1):
        total = (total + 2 * (T - d)) * within
    return np.asarray(total + T, x.dtype)


def _factored_damping(A: list[Array], G: list[Array], damping: list[float]) -> list[float]:
    return [float(each) for part in factored_damping(A, G, damping) for each in on_host(part)]


def _paired(count: int, arrays: Any) -> list[tuple[Any, Any]]:
    return list(zip(arrays[:count], arrays[count:], strict=True))


def _worst(count: int, status: Array) -> list[int]:
    return [max(pair) for pair in _paired(count, statuses(status))]
