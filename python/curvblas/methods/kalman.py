"""Extended Kalman filters for outputs of exponential families: online natural gradients without rates (Ollivier)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, Arrays, in_kind, on_cpu_as_numpy
from .._numbers import count, positive
from ..errors import Status
from ..kalman import KalmanNaturalGradient
from ._float64 import back, float64
from ._logistic import logistic, logistic_variance

__all__ = ["FAMILIES", "ExponentialFamilyFilter", "Observation", "observation"]

FAMILIES = ("bernoulli", "categorical", "gaussian", "poisson")
"""Names of the families of outputs that are known."""

_NAME = "ExponentialFamilyFilter"


@dataclass(frozen=True, slots=True)
class Observation:
    """What `KalmanNaturalGradient.step` takes.

    Attributes
    ----------
    jacobian : array, shape (m, dim)
        Of the predicted means of the m statistics.
    error : array, shape (m,)
        Observed statistics less their means.
    noise : array, shape (m,) or (m, m)
        Their covariance as predicted: R, or its diagonal.
    """

    jacobian: Array
    error: Array
    noise: Array


def observation(family: str, jacobian: Array, natural: Array, targets: Array, *, variance: float = 1.0) -> Observation:
    """Turn outputs in natural parameters, and their targets, into an observation for a Kalman filter.

    Parameters
    ----------
    family : {"bernoulli", "categorical", "gaussian", "poisson"}
        Of the outputs given the natural parameters f: independent ones with the probabilities ``1 / (1 + exp(-f))``,
        one of o categories with ``softmax(f)``, independent ones of mean f and the given variance, independent counts
        of rate ``exp(f)``.
    jacobian : float32 or float64 array, shape (o, dim) or (N, o, dim)
        ``df / dtheta``, of one case or of N that are observed at the same time.
    natural : array, shape (o,) or (N, o)
        f.
    targets : array, of the shape of natural, or () or (N,) for "categorical"
        Values in [0, 1] for "bernoulli", counts >= 0 for "poisson"; the number of the category, from 0, for
        "categorical".
    variance : float > 0
        Of a "gaussian"; others have none of their own.

    Returns
    -------
    Observation
        With m = N o, or N (o - 1) for "categorical": the most probable category of each case is left out, as the
        others determine it, and those are in order.
        ``noise`` has shape (m, m) there, and (m,) else.

    Raises
    ------
    ValueError
        A family that is unknown, a shape that does not fit, no case or output, targets out of the range above, less
        than two categories, or a variance that is not positive.
    TypeError
        No arrays of real numbers on the CPU.

    Notes
    -----
    Means have the derivative ``R df / dtheta``, as the covariance R of the statistics is the Fisher matrix of f: the
    Fisher matrix of the parameters is ``J^T R J`` for the Jacobian J of f. NaN and Inf go through, and so does a rate
    that overflows: the filter reports them. A probability that vanishes in the dtype makes R singular, which it reports
    too. Cost 2 N o dim flops, o times as many for categories.

    Source: Ollivier 2017 (arXiv 1703.00209), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import kalman
    >>> seen = kalman.observation("bernoulli", np.array([[4.0, 8.0]]), np.array([0.0]), np.array([1.0]))
    >>> seen.jacobian, seen.error, seen.noise
    (array([[1., 2.]]), array([0.5]), array([0.25]))
    """
    owner = "observation"
    if family not in FAMILIES:
        raise ValueError(f"{owner}: family must be one of {', '.join(FAMILIES)}, got {family!r}")
    variance = positive(owner, "variance", variance)
    J = float64(owner, "jacobian", jacobian)
    if J.ndim not in {2, 3} or 0 in J.shape[:-1]:
        raise ValueError(f"{owner}: jacobian must have shape (o, dim) or (N, o, dim) with N, o > 0, got {J.shape}")
    shape = J.shape[:-1]
    f = float64(owner, "natural", natural, shape)
    J, f = J.reshape(-1, *J.shape[-2:]), f.reshape(-1, J.shape[-2])
    if family == "categorical":
        parts = _categorical(J, f, _categories(owner, targets, shape))
    else:
        y = float64(owner, "targets", targets, shape).reshape(f.shape)
        _require_range(owner, family, y)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, R = _INDEPENDENT[family](f, variance)
            # A Gaussian's f is its mean; the statistic of the others has the mean's derivative R.
            slopes = np.ones_like(R) if family == "gaussian" else R
            parts = (slopes[..., None] * J).reshape(-1, J.shape[-1]), (y - mean).ravel(), R.ravel()
    return Observation(*(back(x, jacobian) for x in parts))


def _bernoulli(f: np.ndarray, _: float) -> tuple[np.ndarray, np.ndarray]:
    return logistic(f), logistic_variance(f)


def _gaussian(f: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray]:
    return f, np.full_like(f, variance)


def _poisson(f: np.ndarray, _: float) -> tuple[np.ndarray, np.ndarray]:
    return np.exp(f), np.exp(f)


_INDEPENDENT: dict[str, Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]] = {
    "bernoulli": _bernoulli,
    "gaussian": _gaussian,
    "poisson": _poisson,
}


def _require_range(owner: str, family: str, targets: np.ndarray) -> None:
    bad = targets[(targets < 0) | (targets > 1)] if family == "bernoulli" else targets[targets < 0]
    if family in {"bernoulli", "poisson"} and bad.size:
        raise ValueError(f"{owner}: targets must be {'in [0, 1]' if family == 'bernoulli' else '>= 0'}, got {bad[0]:g}")


def _categories(owner: str, targets: Array, shape: tuple[int, ...]) -> np.ndarray:
    categories = shape[-1]
    if categories < 2:
        raise ValueError(f"{owner}: natural must have two categories at least, got {categories}")
    array = targets if hasattr(targets, "shape") else np.asarray(targets)
    given = float64(owner, "targets", array, shape[:-1]).ravel()
    bad = given[~((given >= 0) & (given < categories) & (given == np.floor(given)))]
    if bad.size:
        raise ValueError(f"{owner}: targets must be numbers of categories, 0 ... {categories - 1}, got {bad[0]:g}")
    return given.astype(np.int64)


def _categorical(J: np.ndarray, f: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    N, o = f.shape
    cases, left_out = np.arange(N), np.argmax(f, axis=1)
    # Without the most probable category all others have p <= 1/2, and R is as regular as their variances.
    kept = np.arange(o - 1) + (np.arange(o - 1) >= left_out[:, None])
    with np.errstate(over="ignore", invalid="ignore"):
        odds = np.exp(f - f[cases, left_out][:, None])
        p = np.take_along_axis(odds / odds.sum(axis=1, keepdims=True), kept, axis=1)
        R = p[:, :, None] * (np.eye(o - 1) - p[:, None, :])
        H = R @ (J[cases[:, None], kept] - J[cases, left_out][:, None])
    noise = np.zeros((N, o - 1, N, o - 1))
    noise[cases, :, cases, :] = R
    error = (kept == targets[:, None]) - p
    return H.reshape(-1, J.shape[-1]), error.ravel(), noise.reshape(error.size, error.size)


class ExponentialFamilyFilter:
    """Online natural gradient for outputs of an exponential family, by the extended Kalman filter.

    Each step is `observation` and a step of `KalmanNaturalGradient`: the natural gradient with the averaged Fisher
    matrix ``J_t = (1 - eta_t) J_{t-1} + eta_t F_t``, rates ``eta_t = 1 / (t + 1)`` and ``J_0 = covariance^-1``; ``1 /
    eta_t = 1 + (1 - fading) / eta_{t-1}`` with fading. There is no rate to tune, and a linear Gaussian model is at its
    ridge solution after one pass.

    Parameters
    ----------
    family : {"bernoulli", "categorical", "gaussian", "poisson"}
        Of the outputs, see `observation`.
    dim : int >= 1
        Number of parameters.
    covariance : float > 0 or array, shape (dim, dim), or list of arrays (n_b, n_b) where there are blocks
        Of a prior around the first parameters.
    fading : float in [0, 1)
        Weight that the past loses in each step.
    blocks : sequence of int >= 1, optional
        Sizes of consecutive blocks of parameters, each with a filter of its own.
    variance : float > 0
        Of the outputs of a "gaussian".

    Attributes
    ----------
    status : int8 array, shape (blocks,)
    covariance : array of shape (dim, dim), or list of arrays (n_b, n_b)
        As of `KalmanNaturalGradient`.
    case_status : int8 array, shape (N,)
        Of the cases of the last step, see `Status`: ``OK``; ``NOT_FINITE``, a case holds NaN or Inf, or its mean, or
        squares of its derivatives overflow; ``NOT_POSITIVE_DEFINITE``, it is so sure that a variance falls below the
        normal numbers of the dtype (logits of 800, or of 100 in float32). Such a case is left out of the step if
        others are good.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import kalman
    >>> method = kalman.ExponentialFamilyFilter("gaussian", 2)
    >>> method.step(np.array([[1.0, 0.0]]), np.array([0.0]), np.array([4.0]))
    array([2., 0.])
    """

    def __init__(
        self,
        family: str,
        dim: int,
        *,
        covariance: float | Arrays = 1.0,
        fading: float = 0.0,
        blocks: Sequence[int] | None = None,
        variance: float = 1.0,
    ) -> None:
        if family not in FAMILIES:
            raise ValueError(f"{_NAME}: family must be one of {', '.join(FAMILIES)}, got {family!r}")
        self._family = family
        self._variance = positive(_NAME, "variance", variance)
        self._filter = KalmanNaturalGradient(dim, covariance=covariance, fading=fading, blocks=blocks)
        self.case_status: Array = np.zeros(1, np.int8)

    @property
    def status(self) -> Array:
        """Of the last step, one a block."""
        return self._filter.status

    @property
    def covariance(self) -> Arrays:
        """The covariances of the parameters of each block; copies."""
        return self._filter.covariance

    def step(self, jacobian: Array, natural: Array, targets: Array) -> Array:
        """Take one case or several, and return what the parameters are to change by.

        Parameters
        ----------
        jacobian : float32 or float64 array, shape (o, dim) or (N, o, dim)
        natural : array, shape (o,) or (N, o)
        targets : array, of the shape of natural, or () or (N,) for "categorical"
            As of `observation`; jacobian and natural at the parameters before the step.

        Returns
        -------
        array, shape (dim,)
            To be added to the parameters, in the dtype and library of ``jacobian``. A block whose ``status`` is not
            ``OK`` gets NaN, and is as it was.

        Raises
        ------
        ValueError
            As of `observation`.
        TypeError
            As of `observation`, or another dtype or library than before.
        """
        seen = observation(self._family, jacobian, natural, targets, variance=self._variance)
        H, e, R = (np.asarray(on_cpu_as_numpy(x)) for x in (seen.jacobian, seen.error, seen.noise))
        cases = len(jacobian) if np.ndim(jacobian) == 3 else 1
        each = len(e) // cases
        variances = R if R.ndim == 1 else R.diagonal()
        with np.errstate(over="ignore", invalid="ignore"):
            finite = np.isfinite(np.square(H, dtype=np.float64).sum(axis=1)) & np.isfinite(e) & np.isfinite(variances)
        finite = finite.reshape(cases, each).all(axis=1)
        sure = (variances < (0.0 if self._family == "gaussian" else np.finfo(R.dtype).tiny)).reshape(cases, each)
        good = finite & ~sure.any(axis=1)
        status = np.where(good, Status.OK, np.where(finite, Status.NOT_POSITIVE_DEFINITE, Status.NOT_FINITE))
        self.case_status = in_kind(status.astype(np.int8), jacobian)
        if good.all() or not good.any():  # without a good case the filter says so, block by block
            if sure.any():  # it is not to take a variance that has few digits
                H, R = np.where(sure.reshape(-1, 1), 0, H), np.where(np.abs(R) < np.finfo(R.dtype).tiny, 0, R)
            return self._filter.step(*(in_kind(x, jacobian) for x in (H, e, R)))
        kept = np.flatnonzero(np.repeat(good, each))
        parts = H[kept], e[kept], R[kept] if R.ndim == 1 else R[np.ix_(kept, kept)]
        return self._filter.step(*(in_kind(x, jacobian) for x in parts))

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on; see `KalmanNaturalGradient.state_dict`."""
        return self._filter.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the parameters of this object must be those of the one that it is from."""
        if "steps" in state:
            count(_NAME, "state['steps']", state["steps"], least=0)
        if "covariance" in state:
            P = float64(_NAME, "state['covariance']", state["covariance"])
            if not np.isfinite(P).all():
                raise ValueError(f"{_NAME}: state['covariance'] must be finite, got {P[~np.isfinite(P)][0]}")
        self._filter.load_state_dict(state)
