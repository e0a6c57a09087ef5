"""Gaussian families of one variable or of independent ones: three choices of parameters."""

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np

from .._numbers import positive
from ._family import Diagonal, Family, Vector

LOG_2PI = math.log(2 * math.pi)


class Gaussian(Diagonal):
    """Independent Gaussian variables of one known variance; parameters are means, shape (..., o), and so are draws.

    ``F = I / variance``. With variance 1, ``-log p`` is half the squared error; the squared error itself has variance
    1/2, and twice the Fisher matrix.

    Parameters
    ----------
    variance : float > 0
        Of each variable.

    Examples
    --------
    >>> import numpy as np
    >>> Gaussian(variance=4.0).cramer_rao(np.array([7.0]), n=8)
    array([[0.5]])
    """

    kind: ClassVar[str] = "gaussian"

    def __init__(self, variance: float = 1.0) -> None:
        self._variance = positive("Gaussian", "variance", variance)

    @property
    def variance(self) -> float:
        """Of each variable."""
        return self._variance

    def _natural(self, theta: Vector) -> Vector:
        return theta / self._variance

    def _mean(self, theta: Vector) -> Vector:
        return theta

    _from_mean = _mean
    _statistics = _mean

    def _from_natural(self, eta: Vector) -> Vector:
        return eta * self._variance

    def _log_partition(self, theta: Vector) -> Vector:
        return (theta**2).sum(axis=-1) / (2 * self._variance)

    def _log_base(self, x: Vector) -> Vector:
        return -(x**2 / self._variance + LOG_2PI + math.log(self._variance)).sum(axis=-1) / 2

    def _score(self, theta: Vector, x: Vector) -> Vector:
        return (x - theta) / self._variance

    def _kl(self, theta: Vector, other: Vector) -> Vector:
        return ((theta - other) ** 2).sum(axis=-1) / (2 * self._variance)

    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector:
        return theta + math.sqrt(self._variance) * rng.standard_normal(theta.shape)

    def _diagonal(self, theta: Vector) -> Vector:
        return np.full_like(theta, 1 / self._variance)


class _TwoParameters(Family):
    """Gaussian variables with parameters for mean and spread, shape (..., 2), and draws of shape (...)."""

    _draw_axes: ClassVar[int] = 0

    def _check(self, owner: str, name: str, theta: Vector) -> None:
        if theta.ndim < 1 or theta.shape[-1] != 2:
            raise ValueError(f"{owner}: {name} must have shape (..., 2), got {theta.shape}")

    def _draw_shape(self, k: int) -> tuple[int, ...]:
        return ()

    @abstractmethod
    def _usual(self, theta: Vector) -> tuple[Vector, Vector]: ...

    @abstractmethod
    def _from_usual(self, mu: Vector, log_sigma: Vector) -> Vector: ...

    def _natural(self, theta: Vector) -> Vector:
        mu, log_sigma = self._usual(theta)
        precision = np.exp(-2 * log_sigma)
        return np.stack([mu * precision, -precision / 2], axis=-1)

    def _mean(self, theta: Vector) -> Vector:
        mu, log_sigma = self._usual(theta)
        return np.stack([mu, mu**2 + np.exp(2 * log_sigma)], axis=-1)

    def _from_natural(self, eta: Vector) -> Vector:
        return self._from_usual(-eta[..., 0] / (2 * eta[..., 1]), -np.log(-2 * eta[..., 1]) / 2)

    def _from_mean(self, m: Vector) -> Vector:
        return self._from_usual(m[..., 0], np.log(m[..., 1] - m[..., 0] ** 2) / 2)

    def _log_partition(self, theta: Vector) -> Vector:
        mu, log_sigma = self._usual(theta)
        return (mu * np.exp(-log_sigma)) ** 2 / 2 + log_sigma

    def _statistics(self, x: Vector) -> Vector:
        return np.stack([x, x**2], axis=-1)

    def _log_base(self, x: Vector) -> Vector:
        return -LOG_2PI / 2

    def _log_density(self, theta: Vector, x: Vector) -> Vector:
        mu, log_sigma = self._usual(theta)
        return -(((x - mu) * np.exp(-log_sigma)) ** 2 + LOG_2PI) / 2 - log_sigma

    def _kl(self, theta: Vector, other: Vector) -> Vector:
        (mu, log_sigma), (other_mu, other_log_sigma) = self._usual(theta), self._usual(other)
        wider = other_log_sigma - log_sigma
        return wider + np.expm1(-2 * wider) / 2 + ((mu - other_mu) * np.exp(-other_log_sigma)) ** 2 / 2

    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector:
        mu, log_sigma = self._usual(theta)
        return mu + np.exp(log_sigma) * rng.standard_normal(mu.shape)


class GaussianLogScale(_TwoParameters, Diagonal):
    """Gaussian variables; parameters are (mu, log sigma), shape (..., 2), and draws are numbers, shape (...).

    ``F = diag(1 / sigma^2, 2)``.

    Examples
    --------
    >>> import numpy as np
    >>> GaussianLogScale().fisher(np.array([3.0, np.log(2.0)]))
    array([[0.25, 0.  ],
           [0.  , 2.  ]])
    """

    kind: ClassVar[str] = "gaussian_log_scale"

    def _usual(self, theta: Vector) -> tuple[Vector, Vector]:
        return theta[..., 0], theta[..., 1]

    def _from_usual(self, mu: Vector, log_sigma: Vector) -> Vector:
        return np.stack([mu, log_sigma], axis=-1)

    def _score(self, theta: Vector, x: Vector) -> Vector:
        z = (x - theta[..., 0]) * np.exp(-theta[..., 1])
        return np.stack([z * np.exp(-theta[..., 1]), z**2 - 1], axis=-1)

    def _diagonal(self, theta: Vector) -> Vector:
        return np.stack([np.exp(-2 * theta[..., 1]), np.full(theta.shape[:-1], 2.0)], axis=-1)


class GaussianNatural(_TwoParameters):
    """Gaussian variables; parameters are ``(mu / sigma^2, -1 / (2 sigma^2))``, shape (..., 2), draws have shape (...).

    ``F = [[s, 2 mu s], [2 mu s, 2 s^2 + 4 mu^2 s]]`` with ``s = sigma^2``: the covariance of ``(x, x^2)``.

    Examples
    --------
    >>> import numpy as np
    >>> GaussianNatural().fisher(np.array([1.0, -0.5]))
    array([[1., 2.],
           [2., 6.]])
    """

    kind: ClassVar[str] = "gaussian_natural"

    def _usual(self, theta: Vector) -> tuple[Vector, Vector]:
        return -theta[..., 0] / (2 * theta[..., 1]), -np.log(-2 * theta[..., 1]) / 2

    def _from_usual(self, mu: Vector, log_sigma: Vector) -> Vector:
        precision = np.exp(-2 * log_sigma)
        return np.stack([mu * precision, -precision / 2], axis=-1)

    # B = [[sigma, 0], [2 mu sigma, sqrt(2) sigma^2]]

    def _root_product(self, theta: Vector, t: Vector) -> Vector:
        mu, log_sigma = self._usual(theta)
        sigma = np.exp(log_sigma)
        return np.stack([sigma * (t[..., 0] + 2 * mu * t[..., 1]), math.sqrt(2) * sigma**2 * t[..., 1]], axis=-1)

    def _root_solve(self, theta: Vector, g: Vector) -> Vector:
        mu, log_sigma = self._usual(theta)
        shift = (g[..., 1] - 2 * mu * g[..., 0]) / (math.sqrt(2) * np.exp(2 * log_sigma))
        return np.stack([g[..., 0] * np.exp(-log_sigma), shift], axis=-1)

    def _undamped(self, theta: Vector, g: Vector) -> Vector:
        mu, log_sigma = self._usual(theta)
        precision = np.exp(-2 * log_sigma)
        second = (g[..., 1] - 2 * mu * g[..., 0]) * precision**2 / 2
        return np.stack([g[..., 0] * precision - 2 * mu * second, second], axis=-1)
