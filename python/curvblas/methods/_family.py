"""What every exponential family offers; the families themselves have the formulas."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np

from .._arrays import Array
from .._numbers import count, number
from ..cholesky import cholesky_solve, damped_cholesky
from ..errors import Status
from ._float64 import Solution, back, float64, solved

Vector: TypeAlias = Any
"""A float64 array of NumPy, many vectors along its leading axes."""


class Family(ABC):
    """Distributions ``p(x | params) = h(x) exp(eta . T(x) - A(eta))``, many at a time.

    Parameters are arrays of shape (..., k), a distribution for each vector of the last axis, in the coordinates that
    the class names; draws have the same leading axes. All methods take arrays of any library on the CPU, compute in
    float64 and return arrays of that library, in float32 where the parameters are. They broadcast leading axes.

    Attributes
    ----------
    kind : str
        The name of the family.
    """

    kind: ClassVar[str] = ""

    def natural(self, params: Array) -> Array:
        """Return the natural parameters.

        Parameters
        ----------
        params : array, shape (..., k)

        Returns
        -------
        array, shape (..., k)
            eta.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            An array of a device, or one that holds no real numbers.
        """
        return self._called("natural", self._natural, params)

    def mean(self, params: Array) -> Array:
        """Return the mean parameters.

        Parameters
        ----------
        params : array, shape (..., k)

        Returns
        -------
        array, shape (..., k)
            ``m = E[T(x)]``, the gradient of A with respect to eta.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`.
        """
        return self._called("mean", self._mean, params)

    def from_natural(self, eta: Array) -> Array:
        """Return the parameters with given natural parameters.

        Parameters
        ----------
        eta : array, shape (..., k)

        Returns
        -------
        array, shape (..., k)
            NaN where there is no distribution.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`.
        """
        return self._called("from_natural", self._from_natural, eta, first="eta")

    def from_mean(self, mean: Array) -> Array:
        """Return the parameters with given mean parameters: of a mean of T over data, the maximum-likelihood estimate.

        Parameters
        ----------
        mean : array, shape (..., k)

        Returns
        -------
        array, shape (..., k)
            NaN where there is no distribution; infinite on the border.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`.
        """
        return self._called("from_mean", self._from_mean, mean, first="mean")

    def log_partition(self, params: Array) -> Array:
        """Return ``A(eta)``.

        Parameters
        ----------
        params : array, shape (..., k)

        Returns
        -------
        array, shape (...)

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`.
        """
        return self._called("log_partition", self._log_partition, params)

    def statistics(self, draws: Array) -> Array:
        """Return the sufficient statistics.

        Parameters
        ----------
        draws : array, shape (..., o)
            As from `sample`.

        Returns
        -------
        array, shape (..., k)
            ``T(x)``.

        Raises
        ------
        TypeError
            As in `natural`.
        """
        x = float64(self._owner("statistics"), "draws", draws)
        return back(np.array(self._statistics(x)), draws)

    def log_density(self, params: Array, draws: Array) -> Array:
        """Return ``log p(x | params)``.

        Parameters
        ----------
        params : array, shape (..., k)
        draws : array, shape (..., o)
            As from `sample`.

        Returns
        -------
        array, shape (...)
            In nats.

        Raises
        ------
        ValueError
            Shapes that do not fit, or draws that no distribution of the family makes; NaN is passed on.
        TypeError
            As in `natural`.
        """
        return self._called("log_density", self._log_density, params, draws=draws)

    def score(self, params: Array, draws: Array) -> Array:
        """Return the gradient of ``log p(x | params)`` with respect to the parameters.

        Parameters
        ----------
        params : array, shape (..., k)
        draws : array, shape (..., o)
            As from `sample`; targets, if the parameters are the outputs of a network.

        Returns
        -------
        array, shape (..., k)
            Its mean under the model is 0, its covariance the Fisher matrix.

        Raises
        ------
        ValueError
            Shapes that do not fit.
        TypeError
            As in `natural`.
        """
        return self._called("score", self._score, params, draws=draws)

    def sample(self, params: Array, rng: np.random.Generator) -> Array:
        """Draw from each distribution once: targets sampled from the model.

        Parameters
        ----------
        params : array, shape (..., k)
            For many draws of one distribution: ``numpy.broadcast_to(params, (count, k))``.
        rng : numpy.random.Generator

        Returns
        -------
        array, shape (..., o)
            One-hot vectors if categorical. NaN of parameters that are NaN, and of rates of 2^62 and more, which 64-bit
            counts do not hold.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`.
        """
        return self._called("sample", lambda theta: self._drawn(theta, rng), params)

    def fisher(self, params: Array) -> Array:
        """Return the Fisher matrices, the metric of the family.

        Parameters
        ----------
        params : array, shape (..., k)

        Returns
        -------
        array, shape (..., k, k)
            ``F = E[s s^T]`` for the score s; exactly symmetric. ``kl(params, params + d) = d^T F d / 2 + O(|d|^3)``.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`.
        """
        return self._called("fisher", self._fisher, params)

    def fisher_root(self, params: Array) -> Array:
        """Return roots of the Fisher matrices.

        Parameters
        ----------
        params : array, shape (..., k)

        Returns
        -------
        array, shape (..., k, r)
            B with ``B B^T = F``; r is k, but for the covariance of a Gaussian larger.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`.
        """
        return self._called("fisher_root", self._fisher_root, params)

    def root_product(self, params: Array, tangents: Array) -> Array:
        """Return ``B^T t``, whose square is the squared length of t in the metric.

        Parameters
        ----------
        params, tangents : arrays, shape (..., k)

        Returns
        -------
        array, shape (..., r)
            ``|B^T t|^2 = t^T F t``.

        Raises
        ------
        ValueError
            Shapes that do not fit.
        TypeError
            As in `natural`.
        """
        return self._called("root_product", self._root_product, params, tangents=tangents)

    def root_solve(self, params: Array, grad: Array) -> Array:
        """Return e with ``B e = grad``: whitened gradients.

        Parameters
        ----------
        params, grad : arrays, shape (..., k)
            A gradient of a function of the distribution: for a categorical one, its entries add up to 0.

        Returns
        -------
        array, shape (..., r)
            With ``|e|^2 = grad^T F^-1 grad``; infinite or NaN where F has no inverse.

        Raises
        ------
        ValueError
            Shapes that do not fit.
        TypeError
            As in `natural`.
        """
        return self._called("root_solve", self._root_solve, params, grad=grad)

    def kl(self, params: Array, other: Array) -> Array:
        """Return Kullback-Leibler divergences ``KL(p(. | params) || p(. | other))``.

        Parameters
        ----------
        params, other : arrays, shape (..., k)

        Returns
        -------
        array, shape (...)
            ``A(eta_other) - A(eta) - (eta_other - eta) . m``, in nats.

        Raises
        ------
        ValueError
            Shapes that do not fit.
        TypeError
            As in `natural`.
        """
        return self._called("kl", self._kl, params, other=other)

    def natural_gradient(self, params: Array, grad: Array, damping: float = 0.0) -> Solution:
        """Return ``(F + damping I)^-1 grad``, without damping by the pseudo-inverse for a categorical distribution.

        Parameters
        ----------
        params, grad : arrays, shape (..., k)
        damping : float >= 0
            In the unit of the eigenvalues of F.

        Returns
        -------
        Solution
            ``solution`` of shape (..., k), ``status`` of shape (...): ``OK``; ``JITTERED``, where a Cholesky factor had
            to be; ``NOT_FINITE``, an argument holds NaN or Inf, or the dtype does not hold the solution;
            ``NOT_POSITIVE_DEFINITE``, F has no inverse (a probability is 0 or 1 in float64), or there is no such
            distribution.

        Raises
        ------
        ValueError
            Shapes that do not fit, or a damping that is negative or not finite.
        TypeError
            As in `natural`.
        """
        owner = self._owner("natural_gradient")
        damping = number(owner, "damping", damping, lambda x: 0 <= x < math.inf, "a finite number >= 0")
        theta, g = self._arrays("natural_gradient", params, "params", {"grad": grad})
        theta, g = np.broadcast_arrays(theta, g)
        with np.errstate(all="ignore"):
            solution, status = self._solve(theta, g, damping)
        is_finite = np.isfinite(theta).all(axis=-1) & np.isfinite(g).all(axis=-1)
        status = np.where(np.isfinite(solution).all(axis=-1), status, Status.NOT_POSITIVE_DEFINITE)
        return solved(solution, np.where(is_finite, status, Status.NOT_FINITE), params)

    def cramer_rao(self, params: Array, n: int = 1) -> Array:
        """Return ``(n F)^-1``, which no unbiased estimator's covariance from n draws is below.

        Parameters
        ----------
        params : array, shape (..., k)
        n : int >= 1
            Independent draws.

        Returns
        -------
        array, shape (..., k, k)
            The pseudo-inverse for a categorical distribution; NaN where F has no inverse.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            As in `natural`, or n is no integer.
        """
        n = count(self._owner("cramer_rao"), "n", n)
        theta = self._arrays("cramer_rao", params, "params", {})[0]
        units = np.eye(theta.shape[-1])
        bound = self.natural_gradient(theta[..., None, :], units).solution / n
        return back((bound + np.swapaxes(bound, -1, -2)) / 2, params)

    # What a family must have: functions of float64 arrays, and the number of axes of a draw.

    _draw_axes: ClassVar[int] = 1
    _draw_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    @abstractmethod
    def _natural(self, theta: Vector, /) -> Vector: ...

    @abstractmethod
    def _mean(self, theta: Vector, /) -> Vector: ...

    @abstractmethod
    def _from_natural(self, eta: Vector, /) -> Vector: ...

    @abstractmethod
    def _from_mean(self, m: Vector, /) -> Vector: ...

    @abstractmethod
    def _log_partition(self, theta: Vector, /) -> Vector: ...

    @abstractmethod
    def _statistics(self, x: Vector, /) -> Vector: ...

    @abstractmethod
    def _log_base(self, x: Vector, /) -> Vector: ...

    @abstractmethod
    def _sample(self, theta: Vector, rng: np.random.Generator) -> Vector: ...

    @abstractmethod
    def _root_product(self, theta: Vector, t: Vector) -> Vector: ...

    @abstractmethod
    def _root_solve(self, theta: Vector, g: Vector) -> Vector: ...

    @abstractmethod
    def _undamped(self, theta: Vector, g: Vector) -> Vector: ...

    # What follows from it; families for which there is something better have that.

    def _check(self, owner: str, name: str, theta: Vector) -> None:
        if theta.ndim < 1 or theta.shape[-1] < 1:
            raise ValueError(f"{owner}: {name} must have shape (..., k) with k >= 1, got {theta.shape}")

    def _check_draws(self, owner: str, x: Vector) -> None:
        low, high = self._draw_range
        is_out = (x < low) | (x > high)
        if is_out.any():
            wanted = f"in [{low}, {high}]" if high < math.inf else f">= {low}"
            raise ValueError(f"{owner}: draws must be {wanted}, got {x[is_out][0]}")

    def _draw_shape(self, k: int) -> tuple[int, ...]:
        return (k,)

    def _drawn(self, theta: Vector, rng: np.random.Generator) -> Vector:
        x = np.asarray(self._sample(theta, rng), np.float64)
        is_bad = np.isnan(theta).any(axis=-1)
        return np.where(is_bad[..., None] if self._draw_axes else is_bad, np.nan, x)

    def _score(self, theta: Vector, x: Vector) -> Vector:
        return self._statistics(x) - self._mean(theta)

    def _log_density(self, theta: Vector, x: Vector) -> Vector:
        inner = (self._natural(theta) * self._statistics(x)).sum(axis=-1)
        return inner - self._log_partition(theta) + self._log_base(x)

    def _kl(self, theta: Vector, other: Vector) -> Vector:
        change = ((self._natural(other) - self._natural(theta)) * self._mean(theta)).sum(axis=-1)
        return np.maximum(self._log_partition(other) - self._log_partition(theta) - change, 0)

    def _fisher_root(self, theta: Vector) -> Vector:
        return self._root_product(theta[..., None, :], np.eye(theta.shape[-1]))

    def _fisher(self, theta: Vector) -> Vector:
        B = self._fisher_root(theta)
        F = B @ np.swapaxes(B, -1, -2)
        return (F + np.swapaxes(F, -1, -2)) / 2

    def _solve(self, theta: Vector, g: Vector, damping: float) -> tuple[Vector, Vector]:
        if damping == 0:
            return self._undamped(theta, g), np.zeros(theta.shape[:-1], np.int8)
        k = theta.shape[-1]
        result = damped_cholesky(np.ascontiguousarray(self._fisher(theta).reshape(-1, k, k)), damping)
        solution = cholesky_solve(result.factor, np.ascontiguousarray(g.reshape(-1, k, 1)))
        return solution.reshape(theta.shape), result.status.reshape(theta.shape[:-1])

    # Calls.

    def _owner(self, method: str) -> str:
        return f"{type(self).__name__}.{method}"

    def _arrays(self, method: str, params: Any, first: str, others: dict[str, Any]) -> list[Vector]:
        owner = self._owner(method)
        theta = float64(owner, first, params)
        self._check(owner, first, theta)
        arrays = [theta]
        for name, given in others.items():
            x = float64(owner, name, given)
            axes = self._draw_axes if name == "draws" else 1
            wanted = self._draw_shape(theta.shape[-1]) if name == "draws" else theta.shape[-1:]
            if x.shape[x.ndim - axes :] != wanted or not _broadcasts(theta.shape[:-1], x.shape[: x.ndim - axes]):
                ends = f"(..., {', '.join(map(str, wanted))})" if wanted else "(...)"
                fit = f"{ends} with leading axes that fit those of {first}, {theta.shape[:-1]}"
                raise ValueError(f"{owner}: {name} must have shape {fit}, got {x.shape}")
            if method == "log_density":
                self._check_draws(owner, x)
            arrays.append(x)
        return arrays

    def _called(
        self, method: str, hook: Callable[..., Vector], params: Any, *, first: str = "params", **others: Any
    ) -> Any:
        arrays = self._arrays(method, params, first, others)
        with np.errstate(all="ignore"):  # a number that is out of range becomes NaN or Inf, and stays where it is
            result = hook(*arrays)
            return back(result.copy() if result is arrays[0] else result, params)


def _broadcasts(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


class Diagonal(Family):
    """Families whose Fisher matrix is diagonal, and has a root and an inverse entry by entry."""

    @abstractmethod
    def _diagonal(self, theta: Vector) -> Vector: ...

    def _root_product(self, theta: Vector, t: Vector) -> Vector:
        return t * np.sqrt(self._diagonal(theta))

    def _root_solve(self, theta: Vector, g: Vector) -> Vector:
        return g / np.sqrt(self._diagonal(theta))

    def _undamped(self, theta: Vector, g: Vector) -> Vector:
        return g / self._diagonal(theta)

    def _solve(self, theta: Vector, g: Vector, damping: float) -> tuple[Vector, Vector]:
        return g / (self._diagonal(theta) + damping), np.zeros(theta.shape[:-1], np.int8)
