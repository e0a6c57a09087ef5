"""Natural coordinates: parameters whitened by a root of their metric (Sohl-Dickstein)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, Arrays, Parameter, in_kind
from ..cholesky import damped_cholesky, triangular_solve
from ..errors import Status, host_status
from ..roots import inverse_root
from ._float64 import back, float64, require_shape

__all__ = ["Whitening", "whiten"]


@dataclass(frozen=True, slots=True)
class Whitening:
    """A root R of a metric, ``R^T R = G + damping I``, and the maps to natural coordinates ``phi = R theta`` and back.

    Attributes
    ----------
    root : array or list of arrays, shape (..., n, n)
        R: upper triangular ``L^T``, or the symmetric root. A failed matrix is NaN, and so is what is mapped with it.
    inverse : array or list of arrays, shape (..., n, n)
        ``R^-1``.
    status : int8 array, one per matrix
        See `Status`: ``OK``; ``NOT_POSITIVE_DEFINITE``, pass a (larger) damping; ``NOT_FINITE``;
        ``INVALID_PARAMETER``, a bad entry of an array ``damping``; ``INACCURATE``, a symmetric root whose residual is
        above 1e-2.

    Notes
    -----
    Arguments of the methods have the shape (..., n) of the factors without their last axis, or are a list of arrays
    (n_i,); results are in the library of the argument, and in float32 if that is. Each map costs 2 n^2 flops a matrix.
    A method raises ValueError for a shape that does not fit, and TypeError for arrays that are not on the CPU.

    Gradients in natural coordinates have the covariance I where the metric is their second moment, and a momentum of
    standard normal noise has the covariance of the metric; its velocity is its `natural_gradient`.
    """

    root: Arrays
    inverse: Arrays
    status: Array

    @property
    def ok(self) -> Array:
        """True where there is a root; one per matrix."""
        return host_status(self.status) == Status.OK

    def to_natural(self, theta: Arrays) -> Arrays:
        """Return natural coordinates of parameters: ``R theta``."""
        return self._mapped("to_natural", "theta", theta, lambda R, _, x: _times(R, x))

    def from_natural(self, phi: Arrays) -> Arrays:
        """Return parameters of natural coordinates: ``R^-1 phi``."""
        return self._mapped("from_natural", "phi", phi, lambda _, inverse, x: _times(inverse, x))

    def gradient_to_natural(self, gradient: Arrays) -> Arrays:
        """Return the gradient in natural coordinates of one in parameters: ``R^-T gradient``."""
        return self._mapped(
            "gradient_to_natural", "gradient", gradient, lambda _, inverse, x: _times(_transposed(inverse), x)
        )

    def natural_gradient(self, gradient: Arrays) -> Arrays:
        """Return the natural gradient: ``R^-1 R^-T gradient = (G + damping I)^-1 gradient``."""
        return self._mapped(
            "natural_gradient",
            "gradient",
            gradient,
            lambda _, inverse, x: _times(inverse, _times(_transposed(inverse), x)),
        )

    def momentum(self, noise: Arrays) -> Arrays:
        """Return a momentum of Hamiltonian Monte Carlo with the mass ``G + damping I``: ``R^T noise``."""
        return self._mapped("momentum", "noise", noise, lambda R, _, x: _times(_transposed(R), x))

    def _mapped(self, method: str, name: str, vectors: Arrays, f: Callable[[Any, Any, Any], Any]) -> Arrays:
        owner, is_list = f"Whitening.{method}", isinstance(self.root, list)
        if isinstance(vectors, list | tuple) != is_list or (is_list and len(vectors) != len(self.root)):
            wanted = f"a list of {len(self.root)} arrays" if is_list else "one array"
            found = f"a list of {len(vectors)}" if isinstance(vectors, list | tuple) else type(vectors).__name__
            raise ValueError(f"{owner}: {name} must be {wanted}, like the factors, got {found}")
        given = list(vectors) if is_list else [vectors]
        roots, inverses = (x if is_list else [x] for x in (self.root, self.inverse))
        shown = []
        for k, (R, inverse, x) in enumerate(zip(roots, inverses, given, strict=True)):
            label = f"{name}[{k}]" if is_list else name
            x64 = float64(owner, label, x, tuple(R.shape[:-1]))
            mapped = f(float64(owner, "root", R), float64(owner, "inverse", inverse), x64)
            shown.append(back(mapped, x))
        return shown if is_list else shown[0]


def whiten(factors: Arrays, damping: Parameter = 0.0, *, method: str = "cholesky") -> Whitening:
    """Factorise metrics, so that descent in whitened coordinates is natural gradient descent.

    With ``phi = R theta`` and ``R^T R = G`` the metric of phi is the identity: a gradient step in phi is ``-rate G^-1
    grad`` in theta, whichever R. Methods that treat coordinates one by one (Adam, L1 norms) do depend on R.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., n, n), or list of arrays (n_i, n_i)
        G: Fisher matrices, or other metrics. Symmetric; only the lower triangle is read.
    damping : float >= 0, or one per matrix
        In the unit of the eigenvalues of ``factors``.
    method : {"cholesky", "symmetric"}
        R is ``L^T`` of ``L L^T = G + damping I``, or the symmetric root: of all roots the one that moves parameters
        least.

    Returns
    -------
    Whitening
        In the dtype and library of ``factors``.

    Raises
    ------
    ValueError
        A factor is not square, a number is out of range, the method is unknown.
    TypeError
        No arrays of real numbers on the CPU.

    Notes
    -----
    One call of the kernels for all matrices, in float64: ``n^3 / 3 + n^3`` flops a matrix for Cholesky, about ``12
    n^3`` for the symmetric root. Nothing is added to a metric that is not positive definite. A metric may be kept for
    many steps where it changes slowly.

    Source: Sohl-Dickstein 2012 (arXiv 1205.1828).

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import whitening
    >>> white = whitening.whiten(np.diag([4.0, 100.0]))
    >>> white.to_natural(np.array([1.0, 1.0]))
    array([ 2., 10.])
    >>> white.natural_gradient(np.array([4.0, 100.0]))
    array([1., 1.])
    """
    if method not in {"cholesky", "symmetric"}:
        raise ValueError(f"whiten: method must be 'cholesky' or 'symmetric', got {method!r}")
    is_list = isinstance(factors, list | tuple)
    given = list(factors) if is_list else [factors]
    names = [f"factors[{k}]" if is_list else "factors" for k in range(len(given))]
    arrays = [float64("whiten", name, G) for name, G in zip(names, given, strict=True)]
    for name, G in zip(names, arrays, strict=True):
        _require_square(name, G, is_list)
    roots, inverses, status = (_cholesky_root if method == "cholesky" else _symmetric_root)(
        arrays if is_list else arrays[0], damping
    )
    if not is_list:
        roots, inverses = [roots], [inverses]
    shown = [[back(x, G) for x, G in zip(part, given, strict=True)] for part in (roots, inverses)]
    root, inverse = shown if is_list else (part[0] for part in shown)
    return Whitening(root, inverse, in_kind(status, factors))


def _require_square(name: str, G: np.ndarray, is_single: bool) -> None:
    n = G.shape[-1] if G.ndim else 0
    if G.ndim < 2 or is_single:
        require_shape("whiten", name, G, (n, n))
    require_shape("whiten", name, G, (*G.shape[:-2], n, n))


def _each(f: Callable[..., Any], *groups: Any) -> Any:
    """Apply a function of arrays to each of a list, or to the stacks themselves."""
    return [f(*x) for x in zip(*groups, strict=True)] if isinstance(groups[0], list) else f(*groups)


def _cholesky_root(G: Any, damping: Parameter) -> tuple[Any, Any, np.ndarray]:
    out = _each(lambda C: np.full_like(C, np.nan), G)
    result = damped_cholesky(G, damping, on_failure="keep", out=out)
    ones = _each(lambda C: np.broadcast_to(np.eye(C.shape[-1]), C.shape).copy(), G)
    inverse = triangular_solve(result.factor, ones, transpose=True)
    return _each(lambda L: np.ascontiguousarray(_transposed(L)), result.factor), inverse, result.status


def _symmetric_root(G: Any, damping: Parameter) -> tuple[Any, Any, np.ndarray]:
    result = inverse_root(G, 2, damping)
    shifts = damping if isinstance(G, list) and np.ndim(damping) else np.asarray(damping, np.float64)
    if isinstance(G, list):
        shifts = list(np.broadcast_to(shifts, len(G)))

    def root(C: np.ndarray, shift: Any, inverse: np.ndarray) -> np.ndarray:
        damped = np.tril(C) + _transposed(np.tril(C, -1)) + np.asarray(shift)[..., None, None] * np.eye(C.shape[-1])
        with np.errstate(invalid="ignore", over="ignore"):
            R = damped @ inverse
        return np.where(np.isfinite(inverse), (R + _transposed(R)) / 2, np.nan)

    return _each(root, G, shifts, result.root), result.root, result.status


def _times(R: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.asarray((R @ x[..., None])[..., 0])


def _transposed(R: np.ndarray) -> np.ndarray:
    return np.swapaxes(R, -1, -2)
