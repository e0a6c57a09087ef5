"""Families of counts and classes: Bernoulli, categorical and Poisson, in their natural parameters."""

import math
from typing import ClassVar

import numpy as np

from ..errors import Status
from ._family import Diagonal, Family, Vector
from ._logistic import logistic

_LARGEST_RATE = 2.0**62  # NumPy draws integers of 64 bits


class Bernoulli(Diagonal):
    """Independent Bernoulli variables; parameters are log-odds, shape (..., o), and draws are 0 or 1, shape (..., o).

    ``F = diag(p (1 - p))``. Draws of all methods but `sample` may be any numbers in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> Bernoulli().fisher(np.array([0.0]))
    array([[0.25]])
    """

    kind: ClassVar[str] = "bernoulli"
    _draw_range: ClassVar[tuple[float, float]] = (0, 1)

    def _natural(self, theta: Vector) -> Vector:
        return theta

    _from_natural = _natural
    _statistics = _natural

    def _mean(self, theta: Vector) -> Vector:
        return logistic(theta)

    def _from_mean(self, m: Vector) -> Vector:
        return np.log(m) - np.log1p(-m)

    def _log_partition(self, theta: Vector) -> Vector:
        return np.logaddexp(theta, 0).sum(axis=-1)

    def _log_base(self, x: Vector) -> Vector:
        return 0.0

    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector:
        return rng.random(theta.shape) < self._mean(theta)

    def _diagonal(self, theta: Vector) -> Vector:
        return self._mean(theta) * self._mean(-theta)


class Poisson(Diagonal):
    """Independent Poisson variables; parameters are logarithms of rates, shape (..., o), and draws are counts.

    ``F = diag(rate)``.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Poisson().kl(np.log([2.0]), np.log([1.0]))), 4)
    0.3863
    """

    kind: ClassVar[str] = "poisson"
    _draw_range: ClassVar[tuple[float, float]] = (0, math.inf)

    def _natural(self, theta: Vector) -> Vector:
        return theta

    _from_natural = _natural
    _statistics = _natural

    def _mean(self, theta: Vector) -> Vector:
        return np.exp(theta)

    def _from_mean(self, m: Vector) -> Vector:
        return np.log(m)

    def _log_partition(self, theta: Vector) -> Vector:
        return np.exp(theta).sum(axis=-1)

    def _log_base(self, x: Vector) -> Vector:
        return -np.asarray(_log_factorial(x), np.float64).sum(axis=-1)

    def _kl(self, theta: Vector, other: Vector) -> Vector:
        change = other - theta
        return (np.exp(theta) * (np.expm1(change) - change)).sum(axis=-1)

    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector:
        rate = np.exp(theta)
        is_drawn = rate < _LARGEST_RATE
        return np.where(is_drawn, rng.poisson(np.where(is_drawn, rate, 0)), np.nan)

    def _diagonal(self, theta: Vector) -> Vector:
        return np.exp(theta)


class Categorical(Family):
    """One of o classes; parameters are scores (logits), shape (..., o), and draws are one-hot, shape (..., o).

    ``F = diag(p) - p p^T``, which has no inverse along (1, ..., 1), as adding a number to all scores changes nothing:
    `natural_gradient` without damping is by the pseudo-inverse. Draws may be any vectors that add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> Categorical().natural_gradient(np.zeros(2), np.array([1.0, -1.0])).solution
    array([ 2., -2.])
    """

    kind: ClassVar[str] = "categorical"

    def _natural(self, theta: Vector) -> Vector:
        return theta

    _from_natural = _natural
    _statistics = _natural

    def _mean(self, theta: Vector) -> Vector:
        odds = np.exp(theta - theta.max(axis=-1, keepdims=True))
        return odds / odds.sum(axis=-1, keepdims=True)

    def _from_mean(self, m: Vector) -> Vector:
        return np.log(m)

    def _log_partition(self, theta: Vector) -> Vector:
        largest = theta.max(axis=-1)
        return largest + np.log(np.exp(theta - largest[..., None]).sum(axis=-1))

    def _log_base(self, x: Vector) -> Vector:
        return 0.0

    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector:
        ends = np.cumsum(self._mean(theta), axis=-1)
        # Times the last one, which rounding leaves a little off 1, so that a class is always found.
        place = rng.random((*theta.shape[:-1], 1)) * ends[..., -1:]
        return np.eye(theta.shape[-1])[(place < ends).argmax(axis=-1)]

    def _fisher(self, theta: Vector) -> Vector:
        p = self._mean(theta)
        F = -p[..., :, None] * p[..., None, :]
        i = np.arange(theta.shape[-1])
        F[..., i, i] = 0
        F[..., i, i] = -F.sum(axis=-1)  # p - p^2 would lose its digits where p is almost 1
        return F

    def _root_product(self, theta: Vector, t: Vector) -> Vector:
        # B = diag(sqrt p) - p sqrt(p)^T
        p = self._mean(theta)
        return (t - (t * p).sum(axis=-1, keepdims=True)) * np.sqrt(p)

    def _root_solve(self, theta: Vector, g: Vector) -> Vector:
        return g / np.sqrt(self._mean(theta))

    def _undamped(self, theta: Vector, g: Vector) -> Vector:
        x = (g - g.mean(axis=-1, keepdims=True)) / self._mean(theta)
        return x - x.mean(axis=-1, keepdims=True)

    def _solve(self, theta: Vector, g: Vector, damping: float) -> tuple[Vector, Vector]:
        status = np.full(theta.shape[:-1], Status.OK, np.int8)
        if damping == 0:
            return self._undamped(theta, g), status
        # Sherman and Morrison, with D = diag(p) + damping I: 1 - p^T D^-1 p = damping p^T D^-1 1 has no difference.
        p = self._mean(theta)
        x, y = g / (p + damping), p / (p + damping)
        inner = (p * x).sum(axis=-1, keepdims=True) / (damping * y.sum(axis=-1, keepdims=True))
        return x + y * inner, status


_log_factorial = np.frompyfunc(lambda x: math.lgamma(x + 1), 1, 1)
