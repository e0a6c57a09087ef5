"""TANGO: natural gradients by a fast average of gradients that forgets what it knows already (Ollivier)."""

from typing import Any

import numpy as np

from .._arrays import Array, in_kind, require_state
from .._numbers import count, number, positive
from ..errors import Status
from ._float64 import float64, rounded

__all__ = ["TANGO", "tango_velocity"]

_ENTRIES = ("velocity", "previous_dt", "steps", "gamma", "dt")


def tango_velocity(
    velocity: np.ndarray, gradient: np.ndarray, pseudo_gradients: np.ndarray, gamma: float, previous_dt: float
) -> np.ndarray:
    """Take one step of the fast average: ``v <- k + gamma g - gamma / N sum_n (g~_n . k) g~_n``, ``k = (1 - dt) v``.

    Parameters
    ----------
    velocity : float64 array, shape (dim,)
        v; 0 at the start.
    gradient : float64 array, shape (dim,)
        g.
    pseudo_gradients : float64 array, shape (N, dim)
        The rows ``g~_n``.
    gamma : float
        The fast rate.
    previous_dt : float
        dt of the step before, which v stands for.

    Returns
    -------
    float64 array, shape (dim,)
        The new v. Nothing is checked; see `TANGO`.

    Raises
    ------
    ValueError
        Shapes that NumPy cannot multiply.

    Notes
    -----
    Cost 4 N dim + 4 dim flops; the pseudo-gradients are read twice.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import tango
    >>> tango.tango_velocity(np.array([1.0, 1.0]), np.array([2.0, 4.0]), np.array([[1.0, 0.0]]), 0.5, 0.5)
    array([1.25, 2.5 ])
    """
    keep = (1 - previous_dt) * velocity
    known = pseudo_gradients.T @ (pseudo_gradients @ keep) / len(pseudo_gradients)
    moved: np.ndarray = keep + gamma * gradient - gamma * known
    return moved


class TANGO:
    """True asymptotic natural gradient optimisation: no Fisher matrix, two rates, one vector of memory.

    With the gradient g of the loss and gradients ``g~`` of log-likelihoods of pseudo-samples, which are drawn from the
    model at the same inputs, a step takes ``k = (1 - dt_{t-1}) v``, ``v <- k + gamma g - gamma (g~ . k) g~``, and
    returns ``-dt v``, which the caller adds to the parameters. Where parameters hardly move, v tends to ``gamma (gamma
    (1 - dt) F + dt I)^-1 E[g]`` with the Fisher matrix ``F = E[g~ g~^T]``: the natural gradient, damped by ``dt /
    gamma``.

    Parameters
    ----------
    dim : int >= 1
        Number of parameters.
    gamma : float > 0
        The fast rate, in the unit of ``1 / |g~|^2``: half of ``1 / max |g~|^2`` is a safe start. See ``stability``.
    dt : float in (0, 1]
        The slow rate, which is also the damping. 1 is gradient descent with rate gamma.

    Attributes
    ----------
    gamma, dt : float
        As above; may be set between calls: ``dt_t = t^-0.6 ... t^-1`` where it is to vanish.
    velocity : float64 array, shape (dim,)
        v; a copy.
    status : int8 array, shape (N,)
        Of the rows of the last step, see `Status`: ``OK``; ``NOT_FINITE``, a row holds NaN or Inf and is left out of
        the means. Where no row is left, or v, or the update in its dtype, would not be finite, v is left as it was and
        the update is NaN; all rows are ``NOT_FINITE`` then.
    stability : float
        ``gamma max_n |g~_n|^2 (1 - dt) / (2 - dt)`` of the last step: v grows along the gradient of a sample where this
        is above 1, and diverges if that is so in most steps.

    Notes
    -----
    Several rows are a minibatch: their mean is one step, with ``gamma / N sum_n (g~_n . k) g~_n``. v is kept in
    float64. v begins at 0 and grows to its size along an eigenvector of F in ``1 / (dt + gamma eigenvalue)`` steps.
    Cost 4 N dim flops a step, besides the backward pass for the pseudo-samples.

    Source: Ollivier 2017 (arXiv 1712.08449).

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import tango
    >>> method = tango.TANGO(2, gamma=0.5, dt=0.1)
    >>> method.step(np.array([2.0, 4.0]), np.array([1.0, 0.0]))
    array([-0.1, -0.2])
    >>> method.velocity
    array([1., 2.])
    """

    def __init__(self, dim: int, *, gamma: float, dt: float) -> None:
        self._dim = count("TANGO", "dim", dim)
        self.gamma, self.dt = gamma, dt
        self._velocity: np.ndarray = np.zeros(self._dim)
        self._previous_dt, self._steps = 0.0, 0
        self.status: Array = np.zeros(1, np.int8)
        self.stability = 0.0

    @property
    def gamma(self) -> float:
        """The fast rate."""
        return self._gamma

    @gamma.setter
    def gamma(self, value: float) -> None:
        self._gamma = positive("TANGO", "gamma", value)

    @property
    def dt(self) -> float:
        """The slow rate."""
        return self._dt

    @dt.setter
    def dt(self, value: float) -> None:
        self._dt = _slow_rate("dt", value)

    @property
    def velocity(self) -> np.ndarray:
        """The fast average; a copy."""
        return np.array(self._velocity)

    def step(self, gradient: Array, pseudo_gradient: Array | None = None) -> Array:
        """Take gradients, and return what the parameters are to change by.

        Parameters
        ----------
        gradient : array, shape (dim,) or (N, dim)
            Of the loss: of one sample, the mean of a minibatch, or a row for each of its samples.
        pseudo_gradient : array, shape (dim,) or (N, dim), optional
            Of log-likelihoods of pseudo-samples, one row a sample; as many as rows of gradients where those are
            several. Left out: ``gradient`` itself, which puts the second moment of gradients (the outer-product
            metric) in the place of the Fisher matrix; for a minibatch that wants its rows.

        Returns
        -------
        array, shape (dim,)
            ``-dt v``, to be added to the parameters, in the library of ``gradient``, and in float32 if that is. See
            ``status`` and ``stability``.

        Raises
        ------
        ValueError
            Shapes that do not fit.
        TypeError
            No array of real numbers on the CPU.
        """
        g = self._rows("gradient", gradient)
        pseudo = g if pseudo_gradient is None else self._rows("pseudo_gradient", pseudo_gradient)
        if len(g) not in {1, len(pseudo)}:
            raise ValueError(
                f"TANGO.step: pseudo_gradient must have a row for each of the {len(g)} of gradient, got {len(pseudo)}"
            )
        good = np.isfinite(g).all(axis=1) & np.isfinite(pseudo).all(axis=1)
        update = rounded(np.full(self._dim, np.nan), gradient)
        if good.any():
            g, pseudo = g[good] if len(g) == len(good) else g, pseudo[good]
            with np.errstate(over="ignore", invalid="ignore"):
                velocity = tango_velocity(self._velocity, g.mean(axis=0), pseudo, self._gamma, self._previous_dt)
                largest = np.einsum("ij,ij->i", pseudo, pseudo).max()
            self.stability = float(self._gamma * largest * (1 - self._previous_dt) / (2 - self._previous_dt))
            moved = rounded(-self._dt * velocity, gradient)
            good &= np.isfinite(velocity).all() and np.isfinite(moved).all()
            if good.any():
                self._velocity, self._previous_dt, update = velocity, self._dt, moved
        self._steps += 1
        self.status = in_kind(np.where(good, Status.OK, Status.NOT_FINITE).astype(np.int8), gradient)
        return in_kind(update, gradient)

    def _rows(self, name: str, given: Array) -> np.ndarray:
        array = float64("TANGO.step", name, given)
        if array.shape != (self._dim,) and (array.ndim != 2 or array.shape[1] != self._dim or not len(array)):
            wanted = f"({self._dim},) or (N, {self._dim}) with N > 0"
            raise ValueError(f"TANGO.step: {name} must have shape {wanted}, got {array.shape}")
        return np.atleast_2d(array)

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            ``velocity``, a copied array; ``previous_dt``, of the last step; ``steps``, their number; ``gamma`` and
            ``dt``, of the next one.
        """
        past = {"velocity": self.velocity, "previous_dt": self._previous_dt, "steps": self._steps}
        return {**past, "gamma": self._gamma, "dt": self._dt}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; ``dim`` must be that of the object that it is from.

        Parameters
        ----------
        state : dict
            From `state_dict`; copied.

        Raises
        ------
        ValueError
            Entries that are missing or out of range, or a shape that does not fit.
        TypeError
            Entries that are no numbers.
        """
        if any(name not in state for name in _ENTRIES):
            raise ValueError(f"TANGO: state must have {', '.join(_ENTRIES)}, got {', '.join(state)}")
        require_state("TANGO", "velocity", state["velocity"], (self._dim,), ("float64",))
        velocity = np.array(float64("TANGO", "state['velocity']", state["velocity"]))
        if not np.isfinite(velocity).all():
            raise ValueError(f"TANGO: state['velocity'] must be finite, got {velocity[~np.isfinite(velocity)][0]}")
        wanted, name = "a number in [0, 1]", "state['previous_dt']"
        previous = number("TANGO", name, state["previous_dt"], lambda x: 0 <= x <= 1, wanted)
        steps = count("TANGO", "state['steps']", state["steps"], least=0)
        gamma, dt = positive("TANGO", "state['gamma']", state["gamma"]), _slow_rate("state['dt']", state["dt"])
        self._velocity, self._previous_dt, self._steps, self._gamma, self._dt = velocity, previous, steps, gamma, dt


def _slow_rate(name: str, value: float) -> float:
    return number("TANGO", name, value, lambda x: 0 < x <= 1, "a number in (0, 1]")
