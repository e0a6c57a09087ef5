"""Gaussian families of several variables, with known and with unknown covariance."""

import math
from typing import ClassVar

import numpy as np

from .._arrays import Array
from ..cholesky import damped_cholesky, triangular_solve
from ._family import Family, Vector
from ._float64 import float64
from ._gaussians import LOG_2PI


class MultivariateGaussianMean(Family):
    """Gaussian vectors of one known covariance; parameters are means, shape (..., d), and so are draws.

    ``F = covariance^-1``.

    Parameters
    ----------
    covariance : array, shape (d, d)
        Symmetric and positive definite; only the lower triangle is read.

    Raises
    ------
    ValueError
        A covariance that is not square or not positive definite.
    TypeError
        An array of a device, or one that holds no real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> MultivariateGaussianMean(np.diag([4.0, 1.0])).fisher(np.zeros(2))
    array([[0.25, 0.  ],
           [0.  , 1.  ]])
    """

    kind: ClassVar[str] = "multivariate_gaussian_mean"

    def __init__(self, covariance: Array) -> None:
        owner = type(self).__name__
        Sigma = float64(owner, "covariance", covariance)
        if Sigma.ndim != 2 or Sigma.shape[0] != Sigma.shape[1] or not Sigma.size:
            raise ValueError(f"{owner}: covariance must have shape (d, d) with d >= 1, got {Sigma.shape}")
        result = damped_cholesky(Sigma, 0.0, on_failure="keep", out=np.zeros_like(Sigma))
        if not result.ok:
            raise ValueError(f"{owner}: covariance must be positive definite and finite, got one that is not")
        self._L = result.factor
        self._W = triangular_solve(self._L, np.eye(len(Sigma)))  # W^T W = Sigma^-1
        self._log_det = float(result.log_det)

    def _check(self, owner: str, name: str, theta: Vector) -> None:
        if theta.shape[-1:] != self._L.shape[:1]:
            raise ValueError(f"{owner}: {name} must have shape (..., {len(self._L)}), got {theta.shape}")

    def _natural(self, theta: Vector) -> Vector:
        return theta @ self._W.T @ self._W

    def _mean(self, theta: Vector) -> Vector:
        return theta

    _from_mean = _mean
    _statistics = _mean

    def _from_natural(self, eta: Vector) -> Vector:
        return eta @ self._L @ self._L.T

    def _log_partition(self, theta: Vector) -> Vector:
        return ((theta @ self._W.T) ** 2).sum(axis=-1) / 2

    def _log_base(self, x: Vector) -> Vector:
        return -(((x @ self._W.T) ** 2).sum(axis=-1) + len(self._L) * LOG_2PI + self._log_det) / 2

    def _score(self, theta: Vector, x: Vector) -> Vector:
        return self._natural(x - theta)

    def _kl(self, theta: Vector, other: Vector) -> Vector:
        return self._log_partition(theta - other)

    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector:
        return theta + rng.standard_normal(theta.shape) @ self._L.T

    # B = W^T

    def _fisher(self, theta: Vector) -> Vector:
        F = self._W.T @ self._W
        return np.broadcast_to((F + F.T) / 2, (*theta.shape, len(F))).copy()

    def _root_product(self, theta: Vector, t: Vector) -> Vector:
        return np.broadcast_arrays(t @ self._W.T, theta)[0].copy()

    def _root_solve(self, theta: Vector, g: Vector) -> Vector:
        return np.broadcast_arrays(g @ self._L, theta)[0].copy()

    def _undamped(self, theta: Vector, g: Vector) -> Vector:
        return self._from_natural(g)


class MultivariateGaussian(Family):
    """Gaussian vectors; parameters are mu, then the lower triangle of Sigma row by row; draws have shape (..., d).

    The parameters have shape (..., k), ``k = d + d (d + 1) / 2``: see `pack` and `pack_symmetric`. With the matrix D
    that copies a triangle to a symmetric matrix, ``F = blkdiag(Sigma^-1, D^T (Sigma^-1 (x) Sigma^-1) D / 2)``. The
    natural gradient is closed: for a gradient ``(g, G)``, of which G has half of the entries off the diagonal, it is
    ``(Sigma g, 2 Sigma G Sigma)``.

    Examples
    --------
    >>> import numpy as np
    >>> family = MultivariateGaussian()
    >>> params = family.pack(np.zeros(2), np.diag([2.0, 1.0]))
    >>> params
    array([0., 0., 2., 0., 1.])
    >>> family.natural_gradient(params, np.array([1.0, 1.0, 1.0, 0.0, 0.0])).solution
    array([2., 1., 8., 0., 0.])
    """

    kind: ClassVar[str] = "multivariate_gaussian"

    def pack(self, mu: Array, Sigma: Array) -> Vector:
        """Return means and covariances as parameters.

        Parameters
        ----------
        mu : array, shape (..., d)
        Sigma : array, shape (..., d, d)
            Only lower triangles are read.

        Returns
        -------
        float64 array, shape (..., d + d (d + 1) / 2)

        Raises
        ------
        ValueError
            Shapes that do not fit.
        TypeError
            An array of a device, or one that holds no real numbers.
        """
        owner = self._owner("pack")
        means, matrices = float64(owner, "mu", mu), float64(owner, "Sigma", Sigma)
        if means.ndim < 1 or matrices.shape[-2:] != means.shape[-1:] * 2 or matrices.shape[:-1] != means.shape:
            raise ValueError(f"{owner}: Sigma must have shape (..., d, d) for mu (..., d), got {matrices.shape}")
        return _joined(means, matrices)

    def unpack(self, params: Array) -> tuple[Vector, Vector]:
        """Return means and covariances.

        Parameters
        ----------
        params : array, shape (..., d + d (d + 1) / 2)

        Returns
        -------
        mu : float64 array, shape (..., d)
        Sigma : float64 array, shape (..., d, d)
            Exactly symmetric.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `pack`.
        """
        return _parted(self._arrays("unpack", params, "params", {})[0])

    def _check(self, owner: str, name: str, theta: Vector) -> None:
        if theta.ndim < 1 or not theta.shape[-1] or _length(_dim(theta.shape[-1])) != theta.shape[-1]:
            raise ValueError(f"{owner}: {name} must have shape (..., d + d (d + 1) / 2), got {theta.shape}")

    def _draw_shape(self, k: int) -> tuple[int, ...]:
        return (_dim(k),)

    def _natural(self, theta: Vector) -> Vector:
        mu, Sigma = _parted(theta)
        P = _inverse(Sigma)
        return _joined(_times(P, mu), -P / 2, off=2)

    def _mean(self, theta: Vector) -> Vector:
        mu, Sigma = _parted(theta)
        return _joined(mu, Sigma + mu[..., :, None] * mu[..., None, :])

    def _from_natural(self, eta: Vector) -> Vector:
        shift, P = _parted(eta, off=0.5)
        Sigma = _inverse(-2 * P)
        return _joined(_times(Sigma, shift), Sigma)

    def _from_mean(self, m: Vector) -> Vector:
        mu, second = _parted(m)
        Sigma = second - mu[..., :, None] * mu[..., None, :]
        return _joined(mu, np.where(np.isnan(_factor(Sigma)), np.nan, Sigma))

    def _log_partition(self, theta: Vector) -> Vector:
        mu, Sigma = _parted(theta)
        L = _factor(Sigma)
        half = (_lower_solve(L, mu[..., None]) ** 2).sum(axis=(-1, -2)) / 2
        return half + _half_log_det(L)

    def _statistics(self, x: Vector) -> Vector:
        return _joined(x, x[..., :, None] * x[..., None, :])

    def _log_base(self, x: Vector) -> Vector:
        return -x.shape[-1] * LOG_2PI / 2

    def _log_density(self, theta: Vector, x: Vector) -> Vector:
        mu, Sigma = _parted(theta)
        L = _factor(Sigma)
        z = _lower_solve(L, (x - mu)[..., None])[..., 0]
        return -((z**2).sum(axis=-1) + x.shape[-1] * LOG_2PI) / 2 - _half_log_det(L)

    def _score(self, theta: Vector, x: Vector) -> Vector:
        mu, Sigma = _parted(theta)
        P = _inverse(Sigma)
        z = _times(P, x - mu)
        return _joined(z, (z[..., :, None] * z[..., None, :] - P) / 2, off=2)

    def _kl(self, theta: Vector, other: Vector) -> Vector:
        (mu, Sigma), (other_mu, other_Sigma) = _parted(theta), _parted(other)
        L, M = _factor(Sigma), _factor(other_Sigma)
        squares = (_lower_solve(M, L) ** 2).sum(axis=(-1, -2)) - mu.shape[-1]
        squares = squares + (_lower_solve(M, (mu - other_mu)[..., None]) ** 2).sum(axis=(-1, -2))
        return squares / 2 + _half_log_det(M) - _half_log_det(L)

    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector:
        mu, Sigma = _parted(theta)
        return mu + _times(_factor(Sigma), rng.standard_normal(mu.shape))

    # B^T t = (L^-1 t, vec(L^-1 T L^-T) / sqrt(2)) for the change T of Sigma

    def _root_product(self, theta: Vector, t: Vector) -> Vector:
        (_, Sigma), (t_mu, T) = _parted(theta), _parted(t)
        L = _factor(Sigma)
        half = _lower_solve(L, T)
        whole = _lower_solve(L, np.swapaxes(half, -1, -2)) / math.sqrt(2)
        return _concatenated(_lower_solve(L, t_mu[..., None])[..., 0], whole)

    def _root_solve(self, theta: Vector, g: Vector) -> Vector:
        (_, Sigma), (g_mu, G) = _parted(theta), _parted(g, off=0.5)
        L = _factor(Sigma)
        up = np.swapaxes(L, -1, -2)
        return _concatenated(_times(up, g_mu), math.sqrt(2) * up @ G @ L)

    def _undamped(self, theta: Vector, g: Vector) -> Vector:
        (_, Sigma), (g_mu, G) = _parted(theta), _parted(g, off=0.5)
        # Through the factor, so that what is no covariance gives NaN.
        L = _factor(Sigma)
        up = np.swapaxes(L, -1, -2)
        return _joined(_times(L, _times(up, g_mu)), 2 * L @ (up @ G @ L) @ up)


def _dim(k: int) -> int:
    return (math.isqrt(9 + 8 * k) - 3) // 2


def _length(d: int) -> int:
    return d + d * (d + 1) // 2


def _parted(theta: Vector, off: float = 1.0) -> tuple[Vector, Vector]:
    """Return the vector and the symmetric matrix, with entries off the diagonal times `off`."""
    d = _dim(theta.shape[-1])
    i, j = np.tril_indices(d)
    entries = theta[..., d:] * np.where(i == j, 1.0, off)
    S = np.empty((*theta.shape[:-1], d, d))
    S[..., i, j] = entries
    S[..., j, i] = entries
    return theta[..., :d], S


def _joined(vector: Vector, matrix: Vector, off: float = 1.0) -> Vector:
    i, j = np.tril_indices(matrix.shape[-1])
    entries = matrix[..., i, j] * np.where(i == j, 1.0, off)
    lead = np.broadcast_shapes(vector.shape[:-1], entries.shape[:-1])
    parts = [np.broadcast_to(x, (*lead, x.shape[-1])) for x in (vector, entries)]
    return np.concatenate(parts, axis=-1)


def _concatenated(vector: Vector, matrix: Vector) -> Vector:
    return np.concatenate([vector, matrix.reshape(*matrix.shape[:-2], matrix.shape[-1] ** 2)], axis=-1)


def _times(matrix: Vector, vector: Vector) -> Vector:
    return (matrix @ vector[..., None])[..., 0]


def _factor(Sigma: Vector) -> Vector:
    """Return Cholesky factors, NaN where there is none."""
    d = Sigma.shape[-1]
    stack = np.ascontiguousarray(Sigma.reshape(-1, d, d))
    L = damped_cholesky(stack, 0.0, on_failure="keep", out=np.full(stack.shape, np.nan)).factor
    return L.reshape(Sigma.shape)


def _lower_solve(L: Vector, rhs: Vector) -> Vector:
    lead = np.broadcast_shapes(L.shape[:-2], rhs.shape[:-2])
    factors, B = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (L, rhs))
    stacks = [np.ascontiguousarray(x.reshape(-1, *x.shape[-2:])) for x in (factors, B)]
    return triangular_solve(*stacks).reshape(B.shape)


def _inverse(Sigma: Vector) -> Vector:
    W = _lower_solve(_factor(Sigma), np.eye(Sigma.shape[-1]))
    return np.swapaxes(W, -1, -2) @ W


def _half_log_det(L: Vector) -> Vector:
    return np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(axis=-1)
