"""Natural Q-learning: temporal-difference steps in the metric of the values (Knight and Lerner's NGDQN)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array, in_kind
from .._numbers import count, number, positive
from ..cholesky import cholesky_solve, damped_cholesky
from ..errors import Status
from ..low_rank import gram
from ..sample_space import sample_space_solve
from ._float64 import back, float64, rounded

__all__ = ["NaturalQ", "NaturalQStep", "natural_q_step", "q_targets"]

METHODS = ("woodbury", "cg", "explicit")
_TOLERANCE = 1e-12  # of conjugate gradients, relative: what the other two methods reach for damped systems
_SMALLEST = 2.3e-308  # of rates: the smallest normal number


def q_targets(rewards: Array, next_values: Array, terminal: Array, discount: float) -> Array:
    """Return what Q-learning moves values to: ``y = r + discount max_a Q(s', a)``, and r where an episode ended.

    Parameters
    ----------
    rewards : array, shape (n,)
        r.
    next_values : array, shape (n, actions)
        ``Q(s', a)``; not looked at where the episode ended.
    terminal : array of bool, shape (n,)
        Whether s' ended it. Not where a limit of time did: values go on there.
    discount : float in [0, 1]

    Returns
    -------
    array, shape (n,)
        In the library of rewards, and in float32 if they are.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a discount that is out of range.
    TypeError
        No arrays of real numbers on the CPU.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import natural_q
    >>> values = np.array([[1.0, 4.0], [np.nan, np.nan]])
    >>> natural_q.q_targets(np.array([1.0, 1.0]), values, np.array([False, True]), 0.5)
    array([3., 1.])
    """
    owner = "q_targets"
    number(owner, "discount", discount, lambda x: 0 <= x <= 1, "a number in [0, 1]")
    r = float64(owner, "rewards", rewards, ("n",))
    ends = float64(owner, "terminal", terminal, (len(r),)) != 0
    values = float64(owner, "next_values", next_values, (len(r), "actions"))
    targets = r + discount * np.where(ends, 0, values.max(axis=1))
    return back(targets, rewards)


@dataclass(frozen=True, slots=True)
class NaturalQStep:
    """A natural gradient of temporal differences, with what is known about it.

    Attributes
    ----------
    update : array, shape (P,)
        To be added to the parameters. NaN where ``status`` says that there is none.
    divergence : float
        ``update^T G update / 2``: the divergence of Kullback and Leibler from the values before to those after, of
        variance 1 and to second order, a mean over the rows.
    scale : float
        What the update was shortened to by ``max_divergence``; 1 if it was not.
    status : Status
        ``OK``; ``JITTERED``, rows depend on each other and the solution is that of least norm, or, with ``"explicit"``,
        solved with more damping; ``NOT_FINITE``; ``NO_CONVERGENCE`` of ``"cg"``; ``NOT_POSITIVE_DEFINITE`` of
        ``"explicit"``.
    row_status : int8 array, shape (n,)
        ``NOT_FINITE`` for rows that hold NaN or Inf: they are left out, as if the others were all; ``OK`` else.
    """

    update: Array
    divergence: float
    scale: float
    status: Status
    row_status: Array


def natural_q_step(
    jacobian: Array,
    errors: Array,
    damping: float,
    *,
    rate: float = 1.0,
    max_divergence: float | None = None,
    method: str = "woodbury",
) -> NaturalQStep:
    """Return ``rate (G + damping I)^-1 J^T e / n`` with ``G = J^T J / n``: the natural gradient of ``sum e^2 / (2 n)``.

    Parameters
    ----------
    jacobian : float32 or float64 array, shape (n, P)
        J: ``dQ(s, a) / dtheta`` of the actions that were taken.
    errors : array, shape (n,)
        ``e = y - Q(s, a)``, the temporal differences, see `q_targets`. Targets count as constants (semi-gradient).
    damping : float >= 0
        In the unit of the squares of J. With targets from the same values, too little of it diverges.
    rate : float > 0
        With 1 and no damping, values that are linear and independent arrive at their targets; for a loss without the
        1/2 that is the rate 1/2.
    max_divergence : float > 0, optional
        The update is shortened so that ``update^T (G + damping I) update / 2`` is at most this.
    method : {"woodbury", "cg", "explicit"}
        By n unknowns with `sample_space_solve`, by conjugate gradients with products of J, or with the matrix G.

    Returns
    -------
    NaturalQStep
        ``update`` in the library of ``jacobian``, and in float32 if that is.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number that is out of range, or a method that is unknown.
    TypeError
        No arrays of real numbers on the CPU.

    Notes
    -----
    J and e are scaled by powers of two first. All methods have the same result, in float64; without damping the first
    two have the solution of least norm. Cost ``n^2 P + n^3 / 3`` flops, ``4 n P`` an iteration, or ``n P^2 + P^3 /
    3``.

    Source: Knight and Lerner 2018 (arXiv 1803.07482), with Woodbury's identity in place of MINRES-QLP.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import natural_q
    >>> J = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    >>> natural_q.natural_q_step(J, np.array([1.0, 3.0, 1.0]), 0.0).update.round(12)
    array([2. , 0.5, 0. ])
    """
    owner = "natural_q_step"
    damping = number(owner, "damping", damping, lambda x: 0 <= x < math.inf, "a finite number >= 0")
    rate = positive(owner, "rate", rate)
    if max_divergence is not None:
        max_divergence = positive(owner, "max_divergence", max_divergence)
    if method not in METHODS:
        raise ValueError(f"{owner}: method must be one of {', '.join(METHODS)}, got {method!r}")
    J = float64(owner, "jacobian", jacobian, ("n", "P"))
    return _step(jacobian, J, float64(owner, "errors", errors, (len(J),)), damping, 0.0, rate, max_divergence, method)


def _step(
    jacobian: Array,
    J: np.ndarray,
    e: np.ndarray,
    damping: float,
    share: float,
    rate: float,
    limit: float | None,
    method: str,
) -> NaturalQStep:
    """Take a step with ``damping + share * largest eigenvalue of G``."""
    good = np.isfinite(J).all(axis=1) & np.isfinite(e)
    rows = in_kind(np.where(good, Status.OK, Status.NOT_FINITE).astype(np.int8), jacobian)
    J, e = (J, e) if good.all() else (J[good], e[good])
    solve = {"woodbury": _woodbury, "cg": _conjugate_gradients, "explicit": _explicit}[method]
    x, status, divergence, scale = np.full(J.shape[1], np.nan), Status.NOT_FINITE, math.nan, 1.0
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if len(J):
            J, e, damping, a, b = _scaled(J, e, damping)
            if share:
                damping += share * float(np.linalg.eigvalsh(gram(J))[-1]) / len(J)
            x, status = solve(J, e, damping)
            x, divergence, scale = _shortened(J, rate * x, damping, limit, b)
            x = np.ldexp(x, a - b)
    update = rounded(x, jacobian)
    if not np.isfinite(update).all():
        update, divergence, scale = np.full_like(update, np.nan), math.nan, 1.0
        status = Status.NOT_FINITE if status <= Status.JITTERED else status
    return NaturalQStep(in_kind(update, jacobian), divergence, scale, status, rows)


def _scaled(J: np.ndarray, e: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray, float, int, int]:
    """Scale ``J 2^a``, ``e 2^b`` and ``damping 4^a`` so that squares do not overflow; updates are to have 2^(a - b)."""
    a = -max(_exponent(J), -(-math.frexp(damping)[1] // 2)) if damping else -_exponent(J)
    J, b = np.ldexp(J, a), -_exponent(e)
    e = np.ldexp(e, b)
    c = min(-_exponent(J.T @ e), 480)  # J is small beside a large damping; squares of e are not to overflow
    return J, np.ldexp(e, c), math.ldexp(damping, 2 * a), a, b + c


def _exponent(x: np.ndarray) -> int:
    return math.frexp(float(np.abs(x).max(initial=0.0)))[1]


def _woodbury(J: np.ndarray, e: np.ndarray, damping: float) -> tuple[np.ndarray, Status]:
    # J^T (J J^T / n + d I)^-1 e / n, without scaling J.
    result = sample_space_solve(J, e, len(J) * damping)
    return result.solution, Status(int(result.status))


def _explicit(J: np.ndarray, e: np.ndarray, damping: float) -> tuple[np.ndarray, Status]:
    result = damped_cholesky(J.T @ J / len(J), damping)
    return cholesky_solve(result.factor, (J.T @ e / len(J))[:, None])[:, 0], Status(int(result.status))


def _conjugate_gradients(J: np.ndarray, e: np.ndarray, damping: float) -> tuple[np.ndarray, Status]:
    """Solve by CGLS (Bjorck 1996, section 7.4): keeps ``s = (e - J x) / n``, and ``r = J^T s - damping x`` is new."""
    n = len(J)
    x, s = np.zeros(J.shape[1]), e / n
    r = J.T @ s
    p, norm = r, r @ r
    first = norm
    for _ in range(10 * min(J.shape) + 10):
        if not norm > _TOLERANCE**2 * first:
            return (x, Status.OK) if np.isfinite(norm) else (np.full_like(x, np.nan), Status.NOT_FINITE)
        q = J @ p
        step = norm / (q @ q / n + damping * (p @ p))
        x, s = x + step * p, s - step * q / n
        r = J.T @ s - damping * x
        before, norm = norm, r @ r
        p = r + norm / before * p
    return np.full_like(x, np.nan), Status.NO_CONVERGENCE


def _shortened(
    J: np.ndarray, update: np.ndarray, damping: float, limit: float | None, b: int
) -> tuple[np.ndarray, float, float]:
    if not np.isfinite(update).all():
        return np.full_like(update, np.nan), math.nan, 1.0
    moved = float(np.square(J @ update).sum() / len(J))
    size, scale = (moved + damping * float(update @ update)) / 2, 1.0
    if limit is not None and size > 0:  # of errors that are scaled by 2^b
        scale = float(min(1.0, np.ldexp(math.sqrt(limit) / math.sqrt(size), b)))
    return scale * update, float(np.square(np.ldexp(scale * math.sqrt(moved / 2), -b))), scale


class NaturalQ:
    """Natural Q-learning: steps with a falling rate, and a damping that follows the metric.

    Parameters
    ----------
    dim : int >= 1
        Number of parameters.
    rate : float > 0
        Of the first step.
    decay : float in (0, 1]
        What the rate is multiplied by after each step that did not fail, unless that is below 2.3e-308.
    damping : float >= 0
        As a share of the largest eigenvalue of G; 0.05 to 0.1 in the paper.
    max_divergence : float > 0, optional
    method : {"woodbury", "cg", "explicit"}
        As of `natural_q_step`.

    Attributes
    ----------
    rate : float
        Of the next step.
    last : NaturalQStep or None
        The last step with its status, divergence and scale.

    Notes
    -----
    The largest eigenvalue is that of ``J J^T / n``: n^2 P + O(n^3) flops more. Rows that are not finite are left out of
    it. Replay memories and exploration are the caller's.

    Source: Knight and Lerner 2018 (arXiv 1803.07482).

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import natural_q
    >>> method = natural_q.NaturalQ(2, rate=1.0, damping=0.0)
    >>> method.step(np.eye(2), values=np.array([0.0, 1.0]), targets=np.array([1.0, 5.0]))
    array([1., 4.])
    """

    def __init__(
        self,
        dim: int,
        *,
        rate: float = 0.1,
        decay: float = 1.0,
        damping: float = 0.05,
        max_divergence: float | None = None,
        method: str = "woodbury",
    ) -> None:
        self._dim = count("NaturalQ", "dim", dim)
        self.rate = positive("NaturalQ", "rate", rate)
        self._decay = number("NaturalQ", "decay", decay, lambda x: 0 < x <= 1, "a number in (0, 1]")
        self._damping = number("NaturalQ", "damping", damping, lambda x: 0 <= x < math.inf, "a finite number >= 0")
        self._limit = None if max_divergence is None else positive("NaturalQ", "max_divergence", max_divergence)
        if method not in METHODS:
            raise ValueError(f"NaturalQ: method must be one of {', '.join(METHODS)}, got {method!r}")
        self._method, self._steps = method, 0
        self.last: NaturalQStep | None = None

    def step(self, jacobian: Array, values: Array, targets: Array) -> Array:
        """Take a minibatch, and return what the parameters are to change by.

        Parameters
        ----------
        jacobian : float32 or float64 array, shape (n, dim)
            Of the values of the actions that were taken.
        values, targets : arrays, shape (n,)
            ``Q(s, a)``, and what they are to be, see `q_targets`.

        Returns
        -------
        array, shape (dim,)
            To be added to the parameters; NaN where ``last.status`` says so.

        Raises
        ------
        ValueError
            Shapes that do not fit.
        TypeError
            No arrays of real numbers on the CPU.
        """
        J = float64("NaturalQ.step", "jacobian", jacobian, ("n", self._dim))
        Q, y = (float64("NaturalQ.step", *x, (len(J),)) for x in (("values", values), ("targets", targets)))
        with np.errstate(invalid="ignore"):
            e = y - Q
        self.last = _step(jacobian, J, e, 0.0, self._damping, self.rate, self._limit, self._method)
        if self.last.status <= Status.JITTERED and self.rate * self._decay >= _SMALLEST:
            self.rate *= self._decay
        self._steps += 1
        return self.last.update

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            ``rate`` of the next step; ``steps``, their number.
        """
        return {"rate": self.rate, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the parameters of this object must be those of the one that it is from.

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
        if "rate" not in state or "steps" not in state:
            raise ValueError(f"NaturalQ: state must have rate, steps, got {', '.join(state)}")
        rate = positive("NaturalQ", "state['rate']", state["rate"])
        steps = count("NaturalQ", "state['steps']", state["steps"], least=0)
        self.rate, self._steps = rate, steps
