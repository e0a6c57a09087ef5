"""What tells whether steps minimise L-SR1 models in balls."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

POSITIVE = 1e-10  # of the largest eigenvalue: below, a multiplier counts as zero
REFINEMENTS = 3


class Models(NamedTuple):
    """A stack: pairs (..., m, n), the oldest first, gamma (...), gradients (..., n) and radii (...)."""

    S: Array
    Y: Array
    gamma: Array
    grad: Array
    radius: Array


def compact(S: Array, Y: Array, gamma: Array) -> tuple[Array, Array]:
    """Return Psi and Minv of ``B = gamma I + Psi^T Minv^-1 Psi`` (Brust, Erway and Marcia 2017, section 2)."""
    Psi = Y - gamma[..., None, None] * S
    lower = np.tril(np.einsum("...in,...jn->...ij", S, Psi))
    return Psi, lower + np.swapaxes(np.tril(lower, -1), -1, -2)


def solve(matrix: Array, right: Array) -> Array:
    """Solve a stack of systems, refined in their dtype: LAPACK has none beyond float64."""
    found = np.zeros_like(right)
    for _ in range(1 + REFINEMENTS):
        rest = right - np.einsum("...ij,...jk->...ik", matrix, found)
        found = found + np.linalg.solve(np.float64(matrix), np.float64(rest))
    return found


def norm(vectors: Array) -> Array:
    """Return the 2-norms of a stack of vectors."""
    lengths: Array = np.sqrt(np.sum(vectors**2, axis=-1))
    return lengths


def conditions(models: Models, step: Array, multiplier: Array, dtype: Any = np.float64) -> dict[str, Array]:
    """Return how far steps are from a minimiser (Conn, Gould and Toint 2000, corollary 7.2.2).

    Parameters
    ----------
    models : Models
        Of any dtype, taken as exact.
    step, multiplier : arrays, shapes (..., n) and (...)
        p and sigma.
    dtype : dtype
        Of the residual and the lengths. Eigenvalues are float64, from a QR factorisation by reflections.

    Returns
    -------
    dict of arrays
        ``residual``, ``|B p + sigma p + g| / ((|B| + sigma) |p| + |g|)``; ``length``, ``| |p| / radius - 1 |`` where
        sigma is positive, else how far p is outside; ``curvature``, ``-(lowest eigenvalue + sigma) / |B|``.
    """
    S, Y, gamma, g, radius = (np.asarray(part, dtype) for part in models)
    p, sigma = np.asarray(step, dtype), np.asarray(multiplier, dtype)
    Psi, Minv = compact(S, Y, gamma)
    R = np.linalg.qr(np.swapaxes(np.float64(Psi), -1, -2), mode="r")
    # The eigenvalues of B - gamma I: those in the span of Psi, and 0 outside of it.
    inside = np.linalg.eigvalsh(np.float64(np.einsum("...ij,...jk->...ik", R, solve(Minv, np.swapaxes(R, -1, -2)))))
    outside = min(1, Psi.shape[-1] - inside.shape[-1])
    values = gamma[..., None] + np.pad(inside, [(0, 0)] * (inside.ndim - 1) + [(0, outside)])
    size = np.abs(values).max(axis=-1)
    weights = solve(Minv, np.einsum("...in,...n->...i", Psi, p)[..., None])[..., 0]
    rest = (gamma + sigma)[..., None] * p + np.einsum("...in,...i->...n", Psi, weights) + g
    over = norm(p) / radius - 1
    return {
        "residual": norm(rest) / ((size + sigma) * norm(p) + norm(g)),
        "length": np.where(sigma > POSITIVE * size, np.abs(over), np.maximum(over, 0)),
        "curvature": -(values.min(axis=-1) + sigma) / size,
    }
