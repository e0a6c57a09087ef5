"""DiCE: derivatives of any order of expectations over what the parameters themselves make random (Foerster et al.)."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, in_kind
from .._numbers import number
from ..errors import Status
from ._float64 import back, float64, require_shape, rounded

__all__ = ["DiceWeights", "HessianWeights", "dice_objective", "dice_weights", "magic_box"]

_SPACES = {"torch": "torch", "jax": "jax.numpy", "jaxlib": "jax.numpy", "numpy": "numpy"}


def magic_box(tau: Array) -> Array:
    """Return ones whose derivatives are those of probabilities: ``exp(tau - stop_gradient(tau))``.

    Parameters
    ----------
    tau : array of PyTorch or JAX, any shape
        Sums of log-probabilities of what is random. Where it is -inf the result is 1, with derivatives that vanish: a
        choice that cannot be made is none. Of NumPy, which has no derivatives, the result is just ones.

    Returns
    -------
    array, of the shape of tau
        1; its n-th derivative is that of ``p`` over ``p`` for ``p = exp(tau)``: ``tau'`` and ``tau'^2 + tau''``. NaN
        where tau is NaN or +inf.

    Raises
    ------
    TypeError
        Not an array of one of these libraries.

    Notes
    -----
    A library that is not imported is not imported by this function. What makes a tau of -inf has to have derivatives
    that are finite, or 0 times Inf gives NaN: mask the logits rather than the logarithm of 0.

    Source: Foerster et al. 2018 (arXiv 1802.05098), section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import dice
    >>> dice.magic_box(np.log([0.2, 0.5]))
    array([1., 1.])
    """
    space = _space("magic_box", "tau", tau)
    choices = _choices(space, tau)
    with np.errstate(invalid="ignore"):
        return space.exp(choices - _stopped(choices))


def dice_objective(
    log_probs: Array, rewards: Array, discount: float = 1.0, *, baseline: Array | None = None, order: int = 2
) -> Array:
    """Write the mean return of trajectories so that its derivatives estimate those of the expected return.

    ``sum_t discount^t box(tau_t) r_t`` with ``tau_t = log_probs_0 + ... + log_probs_t``: a reward is weighed by the
    choices that were made before it. Any order of derivatives is without bias, also where rewards depend on the
    parameters.

    Parameters
    ----------
    log_probs : array of PyTorch or JAX, shape (T,) or (T, B)
        Log-probabilities of the choices of B trajectories, step by step, as functions of the parameters. -inf: no
        choice, see `magic_box`.
    rewards : array of the same library, of the shape of log_probs
        The reward, or cost, after each choice; 0 behind the end of a trajectory.
    discount : float in [0, 1]
    baseline : array like rewards, optional
        Estimates of ``r_t + discount r_{t+1} + ...`` made before choice t. Changes no value and no expectation of a
        derivative, only variances.
    order : {1, 2}
        For the baseline: 1 adds ``sum_t discount^t (1 - box(log_probs_t)) b_t``, which reduces the variance of the
        gradient. 2 adds ``-sum_t discount^t (1 - box(log_probs_t)) (1 - box(tau_{t-1})) b_t`` too, for the Hessian.

    Returns
    -------
    array, shape ()
        To be differentiated; its value is the mean over the trajectories of the discounted return.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a number that is out of range.
    TypeError
        Not arrays of one of these libraries.

    Notes
    -----
    Source: Foerster et al. 2018 (arXiv 1802.05098), section 4; Mao et al. 2018 (arXiv 1809.10747) for order 2.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import dice
    >>> dice.dice_objective(np.log([0.5, 0.2]), np.array([1.0, 2.0]), discount=0.5)
    np.float64(2.0)
    """
    discount = _checked("dice_objective", discount, order)
    _require_times("dice_objective", "log_probs", log_probs)
    space = _space("dice_objective", "log_probs", log_probs)
    _require_like("rewards", rewards, log_probs)
    log_probs = _choices(space, log_probs)
    tau = log_probs.cumsum(0)
    # As powers of the library's own numbers: on the device and in the dtype of what they multiply.
    steps = space.ones_like(log_probs).cumsum(0) - 1
    falling = discount**steps
    terms = falling * magic_box(tau) * rewards
    if baseline is not None:
        _require_like("baseline", baseline, log_probs)
        # The two terms of order 2 add up to box_past (1 - box) b.
        past = magic_box(tau - log_probs) if order == 2 else 1.0
        terms = terms + falling * past * (1 - magic_box(log_probs)) * baseline
    return terms.sum(0).mean()


@dataclass(frozen=True, slots=True)
class HessianWeights:
    """What derivatives are to be multiplied with in a product of the Hessian with a vector, see `DiceWeights`.

    Attributes
    ----------
    log_probs : array, shape (T,) or (T, B)
        For the gradients of log-probabilities.
    rewards : array, shape (T,) or (T, B)
        For the gradients of rewards, where they depend on the parameters.
    """

    log_probs: Array
    rewards: Array


@dataclass(frozen=True, slots=True)
class DiceWeights:
    """Weights with which any program that differentiates log-probabilities has the derivatives of `dice_objective`.

    Attributes
    ----------
    objective : array, shape () or (B,)
        The discounted return of each trajectory.
    gradient : array, shape (T,) or (T, B)
        Returns to go, less the baseline: the gradient of a trajectory is ``sum_t gradient_t grad(log_probs_t)``, and
        ``+ discount^t grad(r_t)`` where rewards depend on the parameters.
    status : int8 array, shape () or (B,)
        See `Status`, one a trajectory: ``OK``, or ``NOT_FINITE``: it holds NaN or Inf (other than a log-probability of
        -inf), or sums of its rewards overflow, and its weights are NaN.
    """

    objective: Array
    gradient: Array
    status: Array
    _costs: np.ndarray
    _own: np.ndarray
    _mask: np.ndarray
    _falling: np.ndarray

    def hessian_product(self, tangents: Array, reward_tangents: Array | None = None) -> HessianWeights:
        """Return the weights of a product with the Hessian.

        Parameters
        ----------
        tangents : array, shape (T,) or (T, B)
            ``grad(log_probs_t) . v`` for the vector v.
        reward_tangents : array, shape (T,) or (T, B), optional
            ``grad(r_t) . v``; 0 if left out.

        Returns
        -------
        HessianWeights
            ``H v = sum_t weights.log_probs_t grad(log_probs_t) + gradient_t hess(log_probs_t) v``, and ``+
            weights.rewards_t grad(r_t) + discount^t hess(r_t) v`` where rewards depend on the parameters.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            No array of real numbers on the CPU.
        """
        owner, shape = "DiceWeights.hessian_product", self._costs.shape
        u = np.where(self._mask, float64(owner, "tangents", tangents, shape), 0)
        U = np.cumsum(u, axis=0)
        slopes = self._costs * U
        if reward_tangents is not None:
            slopes = slopes + self._falling * float64(owner, "reward_tangents", reward_tangents, shape)
        weights = np.where(self._mask, _to_go(slopes) + self._own * u, 0)
        parts = (back(x, tangents) for x in (weights, self._falling * U + 0 * self._costs))
        return HessianWeights(*parts)


def dice_weights(
    log_probs: Array, rewards: Array, discount: float = 1.0, *, baseline: Array | None = None, order: int = 2
) -> DiceWeights:
    """Return the weights of `dice_objective` for gradients and Hessian-vector products, without differentiation.

    Parameters
    ----------
    log_probs : array, shape (T,) or (T, B)
        Only looked at for -inf: no choice there, and all weights are 0.
    rewards : array, of the shape of log_probs
        The reward, or cost, after each choice; 0 behind the end of a trajectory.
    discount : float in [0, 1]
    baseline : array like rewards, optional
    order : {1, 2}
        As of `dice_objective`.

    Returns
    -------
    DiceWeights
        In the dtype of rewards, if that is float32 or float64.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a number that is out of range.
    TypeError
        No arrays of real numbers on the CPU.

    Notes
    -----
    Sums are formed in float64. A baseline of order 2 turns rewards into ``r_t - b_t + discount b_{t+1}``: the sum of
    ``box(tau_t)`` times those is the objective up to a constant. Cost: some passes over T B numbers.

    Source: Foerster et al. 2018 (arXiv 1802.05098), section 4; Mao et al. 2018 (arXiv 1809.10747) for order 2.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import dice
    >>> weights = dice.dice_weights(np.log([0.5, 0.2, 0.9]), np.array([1.0, 2.0, 4.0]), discount=0.5)
    >>> weights.gradient
    array([3., 2., 1.])
    >>> weights.hessian_product(np.array([1.0, 0.0, -1.0])).log_probs
    array([2., 1., 0.])
    """
    owner = "dice_weights"
    discount = _checked(owner, discount, order)
    _require_times(owner, "log_probs", log_probs)
    shape = tuple(log_probs.shape)
    log_p, r = float64(owner, "log_probs", log_probs), float64(owner, "rewards", rewards, shape)
    b = np.zeros(shape) if baseline is None else float64(owner, "baseline", baseline, shape)
    mask = log_p != -np.inf
    finite = (np.isfinite(np.where(mask, log_p, 0)) & np.isfinite(r) & np.isfinite(b)).all(axis=0)
    falling = np.broadcast_to(_powers(discount, len(r), r.ndim), shape)
    costs, values = falling * r, falling * b
    own = -values if order == 1 else np.zeros(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        objective = rounded(costs.sum(axis=0), rewards)
        if order == 2:
            later = np.concatenate([values[1:], np.zeros_like(values[:1])])
            costs = costs - values + later
        gradient = rounded(np.where(mask, _to_go(costs) + own, 0), rewards)
    finite &= np.isfinite(objective) & np.isfinite(gradient).all(axis=0)
    objective, gradient, costs = (np.where(finite, x, x.dtype.type(np.nan)) for x in (objective, gradient, costs))
    mask = mask | ~finite
    status = np.where(finite, Status.OK, Status.NOT_FINITE).astype(np.int8)
    objective, gradient, status = (in_kind(x, rewards) for x in (objective, gradient, status))
    return DiceWeights(objective, gradient, status, costs, own, mask, falling)


def _checked(owner: str, discount: float, order: int) -> float:
    if order not in {1, 2}:
        raise ValueError(f"{owner}: order must be 1 or 2, got {order!r}")
    return number(owner, "discount", discount, lambda x: 0 <= x <= 1, "a number in [0, 1]")


def _require_times(owner: str, name: str, array: Array) -> None:
    shape = getattr(array, "shape", None)
    if shape is None:
        raise TypeError(f"{owner}: {name} must be an array, got {type(array).__name__}")
    if len(shape) not in {1, 2}:
        raise ValueError(f"{owner}: {name} must have shape (T,) or (T, B), got {tuple(shape)}")


def _require_like(name: str, array: Array, log_probs: Array) -> None:
    _space("dice_objective", name, array)
    require_shape("dice_objective", name, array, tuple(log_probs.shape))


def _space(owner: str, name: str, array: Array) -> Any:
    """Return the functions of the library of an array, which is imported already."""
    space = _SPACES.get(type(array).__module__.partition(".")[0])
    if space is None:
        found = type(array).__name__
        raise TypeError(f"{owner}: {name} must be an array of PyTorch, JAX or NumPy, got {found}")
    return sys.modules[space]


def _choices(space: Any, log_probs: Array) -> Any:
    """Return log-probabilities with 0 for -inf."""
    return space.where(log_probs == -np.inf, space.zeros_like(log_probs), log_probs)


def _stopped(array: Array) -> Any:
    """Return the same numbers without derivatives."""
    if hasattr(array, "detach"):
        return array.detach()
    return array if isinstance(array, np.ndarray | np.generic) else sys.modules["jax"].lax.stop_gradient(array)


def _powers(discount: float, count: int, ndim: int) -> np.ndarray:
    """Return discount^t along the first of some axes."""
    return np.power(discount, np.arange(count)).reshape(count, *[1] * (ndim - 1))


def _to_go(x: np.ndarray) -> np.ndarray:
    """Sum from each step to the last one."""
    return np.cumsum(x[::-1], axis=0)[::-1]
