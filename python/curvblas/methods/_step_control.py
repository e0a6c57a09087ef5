"""What decides how far a step goes: damping of Levenberg and Marquardt, clipped steps, the exact quadratic model."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._numbers import count, number, positive
from ._float64 import back, float64

_PARALLEL = 1e-12  # squared sines of less are rounding
_LARGEST = 1e300  # damping: more would become infinite
_ROUNDING = 16 * np.finfo(np.float64).eps


class LevenbergMarquardt:
    """Damping that adapts to how well the quadratic model predicts the change of the loss.

    Every ``interval`` steps, with ``rho = actual / predicted``: damping times ``base^interval`` where rho > 3/4, and
    divided by it, up to 1e300, where rho < 1/4.

    Parameters
    ----------
    damping : float > 0
        At the start.
    base : float in (0, 1)
        Per step.
    interval : int >= 1
        Steps between changes.
    smallest : float > 0
        The damping does not fall below.

    Attributes
    ----------
    damping : float
        For the next step.
    rho : float
        Of the last call; NaN where the step failed, or where changes are as small as rounding.

    Notes
    -----
    Whether the damping is in the predicted change, is the caller's choice: a quadratic loss whose Hessian is the
    curvature has rho = 1 without it, and rho > 1 with it. Source: Martens and Grosse 2015, section 6.5.

    Examples
    --------
    >>> from curvblas.methods import exact
    >>> control = exact.LevenbergMarquardt(1.0, base=0.5, interval=1)
    >>> control.update(-2.0, before=10.0, after=8.5), control.damping
    (0.75, 1.0)
    >>> control.update(-2.0, before=8.5, after=6.5), control.damping
    (1.0, 0.5)
    """

    def __init__(self, damping: float, *, base: float = 0.95, interval: int = 5, smallest: float = 1e-8) -> None:
        name = type(self).__name__
        self.damping = positive(name, "damping", damping)
        self._base = number(name, "base", base, lambda x: 0 < x < 1, "a number in (0, 1)")
        self._interval = count(name, "interval", interval)
        self._smallest = positive(name, "smallest", smallest)
        self._steps = 0
        self.rho = math.nan

    def update(self, predicted: float, before: float, after: float) -> float:
        """Take note of a step, and change the damping if it is time.

        Parameters
        ----------
        predicted : float
            Change of the loss by the quadratic model; negative.
        before, after : float
            The loss of the same minibatch before and after the step. Where it became NaN or Inf, or no decrease was
            predicted, the damping grows at once; where the predicted change is at most 16 eps of the loss, which no
            difference of losses can tell, it stays.

        Returns
        -------
        float
            rho.
        """
        self._steps += 1
        actual, rounding = float(after) - float(before), _ROUNDING * abs(before)
        is_failed = not (math.isfinite(actual) and -math.inf < predicted <= rounding)
        self.rho = actual / predicted if not is_failed and predicted < -rounding else math.nan
        omega = self._base**self._interval
        if is_failed:
            self._grow(omega)
        elif self._steps % self._interval == 0:
            if self.rho > 0.75:
                self.damping = max(omega * self.damping, self._smallest)
            elif self.rho < 0.25:
                self._grow(omega)
        return self.rho

    def _grow(self, omega: float) -> None:
        self.damping = min(self.damping / omega, _LARGEST) if omega else _LARGEST

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            ``damping``, and ``steps``, their number.
        """
        return {"damping": self.damping, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
            From `state_dict`.

        Raises
        ------
        ValueError
            Entries that are missing or out of range.
        TypeError
            Entries that are no numbers.
        """
        name = type(self).__name__
        if not {"damping", "steps"} <= state.keys():
            raise ValueError(f"{name}: state must have damping, steps, got {', '.join(state)}")
        damping = positive(name, "state['damping']", state["damping"])
        steps = count(name, "state['steps'] + 1", state["steps"] + 1) - 1
        self.damping, self._steps = damping, steps


def kl_clip(inner: float, rate: float, limit: float) -> float:
    """Return by how much to shorten a step, so that its squared length in the damped metric is at most a limit.

    Parameters
    ----------
    inner : float
        ``g.u`` for the gradient g and ``u = C^-1 g``, with the damped curvature C by which it was preconditioned.
    rate : float > 0
        The step is ``-rate u``.
    limit : float > 0
        Of ``rate^2 u.C u``, twice the Kullback-Leibler divergence of the step: about 1e-3.

    Returns
    -------
    float in (0, 1], or NaN
        ``nu = min(1, sqrt(limit / (rate^2 inner)))``, for the step ``-rate nu u``; 1 where ``inner`` is 0. NaN where it
        is negative or not finite: C was not positive definite, or an argument is bad.

    Raises
    ------
    ValueError
        A rate or limit that is not positive and finite.
    TypeError
        An argument that is no number.

    Notes
    -----
    ``min(rate, sqrt(limit / g.u))``, the trust region of distributed K-FAC, is ``rate nu``.
    Source: Ba, Grosse and Martens 2017, section 5.

    Examples
    --------
    >>> from curvblas.methods import exact
    >>> exact.kl_clip(4.0, rate=1.0, limit=1.0)
    0.5
    """
    inner = number("kl_clip", "inner", inner, lambda _: True, "a number")
    for name, x in (("rate", rate), ("limit", limit)):
        positive("kl_clip", name, x)
    return clip_factor(inner, limit, rate)


def clip_factor(square: float, limit: float, rate: float = 1.0) -> float:
    """Return ``min(1, sqrt(limit / square) / rate)`` without squares of the rate, NaN for a square that is none."""
    if not 0 <= square < math.inf:
        return math.nan
    return min(1.0, math.sqrt(limit) / math.sqrt(square) / rate) if square else 1.0


@dataclass(frozen=True, slots=True)
class QuadraticStep:
    """The minimiser of the quadratic model over a few directions.

    Attributes
    ----------
    step : array, shape (P,)
        ``sum_k coefficients_k directions_k``.
    coefficients : float64 array, shape (K,)
    change : float
        Of the model, ``q(step) - q(0) <= 0``.
    square : float
        ``step.C step``.
    """

    step: Array
    coefficients: np.ndarray
    change: float
    square: float


def quadratic_step(grad: Array, directions: Array, products: Array) -> QuadraticStep:
    """Minimise ``q(d) = grad.d + d.C d / 2`` over combinations of directions: rescaling and momentum in one.

    Parameters
    ----------
    grad : array, shape (P,)
    directions : array, shape (K, P)
        A proposal and the step before, say; not all of them need be independent.
    products : array, shape (K, P)
        ``C v`` for every direction; C is symmetric and positive semi-definite.

    Returns
    -------
    QuadraticStep
        NaN where an argument holds NaN or Inf, or products of them overflow.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    TypeError
        An array of a device, or one that holds no real numbers.

    Notes
    -----
    With directions of length 1 in the metric of C, eigenvalues of the K x K matrix below 1e-12 are left out: of
    parallel directions each gets the same share. A direction along which C vanishes gets coefficient 0.
    Source: Martens and Grosse 2015, sections 6.4 and 7.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact
    >>> result = exact.quadratic_step(np.array([2.0, 0.0]), np.array([[-1.0, 0.0]]), np.array([[-4.0, 0.0]]))
    >>> result.step, result.change
    (array([-0.5,  0. ]), -0.5)
    """
    names = ("grad", "directions", "products")
    g, D, CD = (float64("quadratic_step", name, x) for name, x in zip(names, (grad, directions, products), strict=True))
    if g.ndim != 1 or D.ndim != 2 or D.shape[1:] != g.shape or not len(D):
        raise ValueError(f"quadratic_step: directions must have shape (K, P) for grad (P,) {g.shape}, got {D.shape}")
    if CD.shape != D.shape:
        raise ValueError(f"quadratic_step: products must have shape (K, P) = {D.shape}, got {CD.shape}")
    with np.errstate(all="ignore"):
        coefficients, M, c = _minimiser(D @ CD.T, D @ g)
        step = coefficients @ D
    return QuadraticStep(
        back(step, grad), coefficients, float(c @ coefficients / 2), float(coefficients @ M @ coefficients)
    )


def _minimiser(M: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    M = (M + M.T) / 2
    if not (np.isfinite(M).all() and np.isfinite(c).all()):
        return np.full_like(c, np.nan), M, c
    lengths = np.sqrt(np.maximum(M.diagonal(), 0))
    inverse_lengths = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    values, vectors = np.linalg.eigh(M * np.outer(inverse_lengths, inverse_lengths))
    weights = np.divide(vectors.T @ (inverse_lengths * c), values, out=np.zeros_like(c), where=values > _PARALLEL)
    return -inverse_lengths * (vectors @ weights), M, c
