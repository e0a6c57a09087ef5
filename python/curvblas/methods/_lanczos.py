"""Lanczos tridiagonalisation of symmetric matrices that are known by their products."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .._arrays import Array
from .._numbers import count
from ..eigen import eigenbasis
from ..errors import Status
from ._float64 import float64

Curvature: TypeAlias = Callable[[np.ndarray], Any] | Array
"""A product ``v -> H v``, or the Jacobian J of ``H = J^T J / N``."""

BREAKDOWN = 1e-14  # of the norm of T; what two projections in float64 leave of a vector inside the space


@dataclass(frozen=True, slots=True)
class Lanczos:
    """A tridiagonal matrix T = Q H Q^T, and what its eigenvalues tell about those of H.

    Attributes
    ----------
    diagonal, off_diagonal : float64 arrays, shapes (m,) and (m - 1,)
        Of T.
    basis : float64 array, shape (m, P)
        Q, orthonormal rows, the first one along the start vector.
    values : float64 array, shape (m,)
        Ritz values, ascending: the eigenvalues of T.
    weights : float64 array, shape (m,)
        Squares of the first elements of the eigenvectors of T: of the quadrature; they add up to 1.
    residuals : float64 array, shape (m,)
        ``|H x - value x|`` of the Ritz vectors x, hence an eigenvalue of H lies so near to each value; up to rounding.
    rotation : float64 array, shape (m, m)
        Eigenvectors of T, as columns.
    is_invariant : bool
        Whether the steps ended because the space of Q holds all that H makes of the start vector: all values are
        eigenvalues then, and quadratures exact for it.
    status : Status
        ``OK``, or ``NOT_FINITE``: a product or the start vector holds NaN or Inf, or overflows; or ``NO_CONVERGENCE``
        of the eigenvectors of T. All is NaN then.
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray
    basis: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    residuals: np.ndarray
    rotation: np.ndarray
    is_invariant: bool
    status: Status

    @property
    def vectors(self) -> np.ndarray:
        """Ritz vectors as rows, in the order of the values: shape (m, P), 2 m^2 P flops."""
        vectors: np.ndarray = self.rotation.T @ self.basis
        return vectors

    @property
    def ok(self) -> bool:
        """Whether there are values."""
        return self.status == Status.OK


def as_product(owner: str, curvature: Curvature, dim: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return products with float64 arrays in and out, whose shapes are looked at.

    Parameters
    ----------
    owner : str
        The function, named in errors.
    curvature : callable or array, shape (N, dim)
        See `Curvature`.
    dim : int
        P.

    Returns
    -------
    callable
        ``v -> H v``.

    Raises
    ------
    ValueError
        A jacobian without rows, or of another width.
    """
    if callable(curvature):
        return lambda v: float64(owner, "the product", curvature(v.copy()), (dim,))
    J = float64(owner, "curvature", curvature, ("N", dim))
    if not len(J):
        raise ValueError(f"{owner}: curvature must have shape (N, P) with N >= 1, got {J.shape}")
    return lambda v: (J @ v) @ J / len(J)


def lanczos(curvature: Curvature, start: Array, steps: int, *, reorthogonalize: str = "full") -> Lanczos:
    """Take Lanczos steps with a symmetric matrix.

    Parameters
    ----------
    curvature : callable or array, shape (N, P)
        The product ``v -> H v`` of float64 arrays of shape (P,), or J of the Gauss-Newton (Fisher) matrix
        ``J^T J / N``.
    start : array, shape (P,)
        Of any length but 0.
    steps : int >= 1
        Products to be formed; no more than P are.
    reorthogonalize : {"full", "none"}
        ``"full"`` projects twice against all rows of Q. With ``"none"`` eigenvalues that have converged come again as
        ghosts (the sum of their weights stays right), and Q loses its orthogonality.

    Returns
    -------
    Lanczos
        T, Q, Ritz values with residuals, status.

    Raises
    ------
    ValueError
        A shape that does not fit, a start vector of zeros, or an option that is unknown.
    TypeError
        An array of a device, or a number of another type.

    Notes
    -----
    Breakdown, ``beta_j <= 1e-14 |T|``, ends the steps. Cost: m products, 4 P m^2 flops for the projections, m P words.
    Source: Golub and Van Loan 2013, chapter 10; Parlett 1998, section 13.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import spectrum
    >>> found = spectrum.lanczos(lambda v: np.array([1.0, 2.0, 2.0]) * v, np.ones(3), 3)
    >>> found.values.round(12), found.is_invariant
    (array([1., 2.]), True)
    """
    q = float64("lanczos", "start", start, ("P",))
    steps = min(count("lanczos", "steps", steps), max(len(q), 1))
    if reorthogonalize not in {"full", "none"}:
        raise ValueError(f"lanczos: reorthogonalize must be 'full' or 'none', got {reorthogonalize!r}")
    product = as_product("lanczos", curvature, len(q))
    largest = np.abs(q).max(initial=0.0)
    if largest == 0:
        raise ValueError(f"lanczos: start must have an element that is not 0, got zeros of shape {q.shape}")
    with np.errstate(invalid="ignore", over="ignore"):
        q = q / largest
        return _steps(product, q / np.linalg.norm(q), steps, reorthogonalize == "full")


def _steps(product: Callable[[np.ndarray], np.ndarray], q: np.ndarray, steps: int, is_full: bool) -> Lanczos:
    Q, alphas, betas = np.empty((steps, len(q))), np.empty(steps), np.empty(steps)
    size, j = 0.0, 0
    for j in range(steps):
        Q[j] = q
        w = product(q) - (betas[j - 1] * Q[j - 1] if j else 0)
        alphas[j] = w @ q
        w -= alphas[j] * q
        for _ in range(2 if is_full else 0):
            w -= (Q[: j + 1] @ w) @ Q[: j + 1]
        betas[j] = np.linalg.norm(w)
        if not (np.isfinite(alphas[j]) and np.isfinite(betas[j])):
            return _failed(j + 1, len(q), Status.NOT_FINITE)
        size = max(size, abs(alphas[j]) + betas[j] + (betas[j - 1] if j else 0))
        if betas[j] <= BREAKDOWN * size:
            break
        q = w / betas[j]
    return _decomposed(Q[: j + 1], alphas[: j + 1], betas[: j + 1], bool(betas[j] <= BREAKDOWN * size))


def _decomposed(Q: np.ndarray, alphas: np.ndarray, betas: np.ndarray, is_invariant: bool) -> Lanczos:
    T = np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)
    basis = eigenbasis(T)
    status = Status(int(basis.status))
    if status != Status.OK:
        return _failed(len(T), Q.shape[1], status)
    weights, residuals = np.square(basis.vectors[0]), betas[-1] * np.abs(basis.vectors[-1])
    return Lanczos(alphas, betas[:-1], Q, basis.values, weights, residuals, basis.vectors, is_invariant, status)


def _failed(m: int, P: int, status: Status) -> Lanczos:
    a, b, Q, R = (np.full(shape, np.nan) for shape in (m, m - 1, (m, P), (m, m)))
    return Lanczos(a, b, Q, a, a, a, R, False, status)
