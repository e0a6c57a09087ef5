"""Exact natural gradients: curvature from Jacobians, three ways to solve with it, and the control of the step.

`fisher_rows` and `whitened_errors` make a natural gradient a least-squares problem: with ``F = R^T R`` and the gradient
``R^T e``, the step minimises ``|R d + e|^2 + damping |d|^2``. `NaturalGradient` solves it step by step.

Sources: Amari 1998; Martens 2010; Martens 2014 (arXiv 1412.1193); Martens and Grosse 2015, sections 6 and 7.
"""

import math
from typing import Any

import numpy as np

from .._arrays import Array, require_state
from .._numbers import count, number, positive
from ..errors import Status
from ..kronecker import update_factors
from ..sample_space import sample_space_solve
from ._conjugate_gradient import ConjugateGradientResult, Product, conjugate_gradient
from ._estimators import empirical_fisher, fisher, fisher_rows, ggn, whitened_errors
from ._float64 import Solution, back, float64, is_held
from ._solves import explicit_solve, update_inverse, woodbury_solve
from ._step_control import LevenbergMarquardt, QuadraticStep, clip_factor, kl_clip, quadratic_step

__all__ = [
    "ConjugateGradientResult",
    "LevenbergMarquardt",
    "NaturalGradient",
    "QuadraticStep",
    "Solution",
    "conjugate_gradient",
    "empirical_fisher",
    "explicit_solve",
    "fisher",
    "fisher_rows",
    "ggn",
    "kl_clip",
    "quadratic_step",
    "update_inverse",
    "whitened_errors",
    "woodbury_solve",
]

_SOLVERS = ("explicit", "sample_space", "cg")


class NaturalGradient:
    """Natural gradient with a damping that adapts, and momentum by the exact quadratic model.

    A step solves ``(F + (damping + ridge) I) D = -(grad + ridge parameters)`` and returns ``alpha D + mu d``, where d
    is the step before, and alpha and mu minimise the quadratic model of the minibatch. The caller adds it to the
    parameters, evaluates the loss there, and hands it to `adapt`.

    Parameters
    ----------
    dim : int >= 1
        P, the number of parameters.
    damping : float > 0
        At the start; see `LevenbergMarquardt`. In the unit of the eigenvalues of F.
    solver : {"explicit", "sample_space", "cg"}
        By a P x P matrix; by a matrix of as many rows as R has, for few cases; by conjugate gradients, which start at d
        and stop by the rule of Hessian-free optimisation.
    ridge : float >= 0
        The loss has a term ``ridge |parameters|^2 / 2``, which is in the curvature as well.
    decay : float in [0, 1)
        Weight that past matrices F keep in the proposal D, with the explicit solver only: their mean over about ``1 /
        (1 - decay)`` minibatches. The quadratic model is always that of the minibatch.
    momentum : bool
        Without it a step is D.
    clip : float > 0, optional
        Upper limit of ``step.C step``, with C = F + (damping + ridge) I: twice the divergence that a step may make.
    base, interval, smallest
        Of `LevenbergMarquardt`.

    Attributes
    ----------
    status : Status
        Of the last step. Where it is not ``OK``, ``JITTERED``, or ``INACCURATE`` or ``NO_CONVERGENCE`` (of conjugate
        gradients that stopped early), the step is NaN, and the object as it was but for the damping, which
        `adapt` makes larger.
    damping : float
        Of the next step.
    coefficients : float64 array, shape (1,) or (2,)
        alpha, and mu from the second step on.
    predicted : float
        Change of the loss by the quadratic model without the damping; NaN where there is none.

    Notes
    -----
    Cost of a step with R rows: R P^2 + P^3 / 3 flops if explicit, R^2 P + R^3 / 3 in sample space, 4 R P a step of
    conjugate gradients; and 4 R P for the quadratic model. Not for several threads at a time. With the matrix of the
    minibatch alone and an exact solver, alpha is 1 and mu 0: momentum is for ``decay`` and for conjugate gradients.

    Source: Martens and Grosse 2015, sections 6.4, 6.5 and 7, with the exact F in place of their approximation; Martens
    2010 for conjugate gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import exact, families
    >>> X, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0], [4.0]])
    >>> J, outputs, family = X[:, None, :], np.zeros((2, 1)), families.Gaussian()
    >>> method = exact.NaturalGradient(2, damping=1e-9)
    >>> errors = exact.whitened_errors(family, outputs, y)
    >>> method.step(exact.fisher_rows(J, family, outputs), errors).round(6)
    array([3., 2.])
    """

    def __init__(
        self,
        dim: int,
        *,
        damping: float = 1.0,
        solver: str = "explicit",
        ridge: float = 0.0,
        decay: float = 0.0,
        momentum: bool = True,
        clip: float | None = None,
        base: float = 0.95,
        interval: int = 5,
        smallest: float = 1e-8,
    ) -> None:
        name = type(self).__name__
        self._dim = count(name, "dim", dim)
        self._control = LevenbergMarquardt(damping, base=base, interval=interval, smallest=smallest)
        if solver not in _SOLVERS:
            raise ValueError(f"{name}: solver must be one of {', '.join(_SOLVERS)}, got {solver!r}")
        self._solver, self._momentum = solver, momentum
        self._ridge = number(name, "ridge", ridge, lambda x: 0 <= x < math.inf, "a finite number >= 0")
        self._decay = number(name, "decay", decay, lambda x: 0 <= x < 1, "a number in [0, 1)")
        if decay and solver != "explicit":
            raise ValueError(f"{name}: decay must be 0 with solver={solver!r}, got {decay}")
        self._clip = math.inf if clip is None else positive(name, "clip", clip)
        self._previous: np.ndarray | None = None
        self._fisher, self._weight = np.zeros((0, 0)), 0.0
        self.status = Status.OK
        self.predicted = math.nan
        self.coefficients = np.empty(0)

    @property
    def damping(self) -> float:
        """Of the next step."""
        return self._control.damping

    def step(self, rows: Array, errors: Array, *, parameters: Array | None = None) -> Array:
        """Take a minibatch, and return what the parameters are to change by.

        Parameters
        ----------
        rows : array, shape (R, P)
            With ``F = rows^T rows``: of `fisher_rows`, or those of the Jacobian of residuals.
        errors : array, shape (R,)
            With the gradient ``rows^T errors``: of `whitened_errors`, or residuals.
        parameters : array, shape (P,), optional
            As they are; wanted if there is a ridge.

        Returns
        -------
        array, shape (P,)
            To be added to the parameters. See ``status``.

        Raises
        ------
        ValueError
            A shape that does not fit, or no parameters where there is a ridge.
        TypeError
            An array of a device, or one that holds no real numbers.
        """
        name = f"{type(self).__name__}.step"
        R, e = float64(name, "rows", rows), float64(name, "errors", errors)
        if R.ndim != 2 or R.shape[1] != self._dim or not len(R):
            raise ValueError(f"{name}: rows must have shape (R, {self._dim}) with R >= 1, got {R.shape}")
        if e.shape != R.shape[:1]:
            raise ValueError(f"{name}: errors must have shape ({len(R)},), got {e.shape}")
        theta = self._parameters(name, parameters)
        with np.errstate(all="ignore"):
            grad = R.T @ e + self._ridge * theta
            if not (np.isfinite(R).all() and np.isfinite(grad).all()):
                return back(self._failed(Status.NOT_FINITE), rows)
            proposal, status, mean = self._proposal(R, e, grad, theta)
            step = self._finished(proposal, status, grad, lambda v: R.T @ (R @ v), rows)
        if mean is not None and not math.isnan(self.predicted):
            self._fisher, self._weight = mean
        return back(step, rows)

    def step_with(self, product: Product, grad: Array, *, parameters: Array | None = None) -> Array:
        """Take a minibatch by its products alone, and return what the parameters are to change by.

        Parameters
        ----------
        product : callable
            ``v -> F v`` for a vector of the kind of ``grad``.
        grad : array, shape (P,)
            Of the loss, without its ridge.
        parameters : array, shape (P,), optional
            As they are; wanted if there is a ridge.

        Returns
        -------
        array, shape (P,)
            To be added to the parameters. See ``status``.

        Raises
        ------
        ValueError
            A shape that does not fit, no parameters where there is a ridge, or another solver than ``"cg"``.
        TypeError
            An array of a device, or one that holds no real numbers.
        """
        name = f"{type(self).__name__}.step_with"
        if self._solver != "cg":
            raise ValueError(f"{name}: solver must be 'cg', got {self._solver!r}")
        g = float64(name, "grad", grad)
        if g.shape != (self._dim,):
            raise ValueError(f"{name}: grad must have shape ({self._dim},), got {g.shape}")
        g = g + self._ridge * self._parameters(name, parameters)

        def times(v: np.ndarray) -> np.ndarray:
            return float64(name, "product(v)", product(back(v, grad)))

        with np.errstate(all="ignore"):
            proposal, status = self._by_products(times, g)
            return back(self._finished(proposal, status, g, times, grad), grad)

    def adapt(self, before: float, after: float) -> float:
        """Change the damping by how well the last step was predicted.

        Parameters
        ----------
        before, after : float
            The loss of the minibatch of the last step, with its ridge, before and after it.

        Returns
        -------
        float
            rho, the actual change over the predicted one.
        """
        return self._control.update(self.predicted, before, after)

    def _parameters(self, name: str, parameters: Any) -> np.ndarray:
        if not self._ridge:
            return np.zeros(self._dim)
        if parameters is None:
            raise ValueError(f"{name}: parameters must be given, as there is a ridge, got None")
        theta = float64(name, "parameters", parameters)
        if theta.shape != (self._dim,):
            raise ValueError(f"{name}: parameters must have shape ({self._dim},), got {theta.shape}")
        return theta

    def _proposal(self, R: Any, e: Any, grad: Any, theta: Any) -> tuple[Any, Status, tuple[Any, float] | None]:
        shift = self.damping + self._ridge
        if self._solver == "cg":
            return *self._by_products(lambda v: R.T @ (R @ v), grad), None
        if self._solver == "sample_space":
            # With D = d - kept theta, the ridge's part of the gradient is in the space of the rows, too.
            kept = self._ridge / shift
            result = sample_space_solve(np.ascontiguousarray(R), kept * (R @ theta) - e, shift)
            return result.solution - kept * theta, Status(int(result.status)), None
        weight = self._decay * self._weight + 1
        fisher = self._fisher.copy() if self._weight else np.zeros((self._dim, self._dim))
        update_factors(fisher, np.ascontiguousarray(R), decay=1 - 1 / weight, scale=1 / weight)
        solved = explicit_solve(fisher, -grad, shift)
        return solved.solution, Status(int(solved.status)), (fisher, weight) if self._decay else None

    def _by_products(self, times: Product, grad: Any) -> tuple[Any, Status]:
        result = conjugate_gradient(
            times,
            -grad,
            damping=self.damping + self._ridge,
            start=self._previous,
            rtol=1e-12,
            progress=5e-4,
            max_iterations=2 * self._dim,
        )
        return result.solution, result.status

    def _finished(self, proposal: Any, status: Status, grad: Any, times: Product, like: Array) -> Any:
        if status not in {Status.OK, Status.JITTERED, Status.INACCURATE, Status.NO_CONVERGENCE}:
            return self._failed(status)
        previous = self._previous if self._momentum else None
        directions = proposal[None] if previous is None else np.stack([proposal, previous])
        products = np.stack([times(v) for v in directions]) + (self.damping + self._ridge) * directions
        step, self.coefficients, change, square = self._combined(grad, directions, products)
        factor = clip_factor(square, self._clip)
        step = factor * step
        if not is_held(step, like):
            return self._failed(Status.NOT_FINITE)
        linear = change - square / 2
        self.predicted = factor * linear + factor**2 * square / 2 - self.damping * float(step @ step) / 2
        self.status, self._previous = status, step.copy()
        return step

    def _combined(self, grad: Any, directions: Any, products: Any) -> tuple[Any, Any, float, float]:
        if self._momentum:
            best = quadratic_step(grad, directions, products)
            return best.step, best.coefficients, best.change, best.square
        square = float(directions[0] @ products[0])
        return directions[0], np.ones(1), float(grad @ directions[0]) + square / 2, square

    def _failed(self, status: Status) -> Any:
        self.status, self.predicted, self.coefficients = status, math.nan, np.empty(0)
        return np.full(self._dim, np.nan)

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            ``control``, that of the damping; ``predicted``; ``previous``, the last step, unless there was none;
            ``fisher`` and ``weight``, the mean of past matrices, where there is one. Copies.
        """
        state: dict[str, Any] = {"control": self._control.state_dict(), "predicted": self.predicted}
        if self._previous is not None:
            state["previous"] = self._previous.copy()
        if self._weight:
            state |= {"fisher": self._fisher.copy(), "weight": self._weight}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the parameters of this object must be those of the one that it is from.

        Parameters
        ----------
        state : dict
            From `state_dict`; copied.

        Raises
        ------
        ValueError
            Entries that are missing, out of range or do not fit each other, or shapes that do not fit this object.
        """
        name = type(self).__name__
        if not {"control", "predicted"} <= state.keys() or ("fisher" in state) != ("weight" in state):
            wanted = "control, predicted, and fisher only with weight"
            raise ValueError(f"{name}: state must have {wanted}, got {', '.join(state)}")
        shapes = {"previous": (self._dim,), "fisher": (self._dim, self._dim)}
        for entry, shape in shapes.items():
            if entry in state:
                require_state(name, entry, state[entry], shape, ("float64",))
        weight = number(name, "state['weight']", state.get("weight", 0.0), lambda x: x >= 0, "a number >= 0")
        predicted = float(state["predicted"])
        self._control.load_state_dict(state["control"])
        self.predicted, self._weight = predicted, weight
        self._previous = np.array(state["previous"]) if "previous" in state else None
        self._fisher = np.array(state["fisher"]) if "fisher" in state else np.zeros((0, 0))
