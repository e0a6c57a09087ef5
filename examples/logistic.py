"""Logistic regression on the breast-cancer data of scikit-learn: the loss, and races to a small gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from scipy.optimize import SR1, minimize
from sklearn.datasets import load_breast_cancer

import curvblas as cb
from curvblas.examples.problems.problem import Vector
from curvblas.examples.race import EndOfRunError
from curvblas.examples.solvers import LBFGS, LBFGSB, LSR1, MEMORY, NEWTON, SR1_TRUST

TOLERANCE = 1e-8
"""Of the Euclidean norm of the gradient, as a share of that at the start."""
BUDGET = 5000


class Logistic:
    """Mean logistic loss of 569 cases in 30 standardised measurements and a constant, with a ridge on all 31 weights.

    Parameters
    ----------
    ridge : float
        Times half the sum of squares of the weights is added.
    """

    def __init__(self, ridge: float) -> None:
        cancer = load_breast_cancer()
        standardised = (cancer.data - cancer.data.mean(axis=0)) / cancer.data.std(axis=0)
        signs = 2.0 * cancer.target - 1
        self.ridge = ridge
        self.signed = signs[:, None] * np.column_stack([standardised, np.ones(len(signs))])

    @property
    def start(self) -> Vector:
        """Zeros."""
        return np.zeros(self.signed.shape[1])

    def __call__(self, w: Vector) -> tuple[float, Vector]:
        """Evaluate the loss and its gradient.

        Parameters
        ----------
        w : float64 array, shape (31,)

        Returns
        -------
        value : float
        gradient : float64 array, shape (31,)
        """
        margins = self.signed @ w
        value = np.logaddexp(0, -margins).mean() + 0.5 * self.ridge * (w @ w)
        gradient = self.ridge * w - self.signed.T @ _wrong(margins) / len(margins)
        return float(value), gradient

    def hessian_product(self, w: Vector, v: Vector) -> Vector:
        """Multiply with the Hessian.

        Parameters
        ----------
        w, v : float64 arrays, shape (31,)

        Returns
        -------
        float64 array, shape (31,)
        """
        wrong = _wrong(self.signed @ w)
        product: Vector = self.signed.T @ (wrong * (1 - wrong) * (self.signed @ v)) / len(wrong) + self.ridge * v
        return product


def _wrong(margins: Vector) -> Vector:
    # The probability of the other class, through tanh because that cannot overflow.
    return np.asarray(0.5 - 0.5 * np.tanh(0.5 * margins))


@dataclass
class Course:
    """What one minimiser did: an entry for every evaluation of value and gradient.

    ``gradients`` are Euclidean norms over that at the start; ``steps`` and ``products`` are the steps before that
    evaluation, and the Hessian products; ``seconds`` are processor time.
    """

    gradients: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    products: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def arrived(self) -> bool:
        """Whether the gradient became small enough."""
        return self.gradients[-1] <= TOLERANCE


Minimiser = Callable[["Counted", Vector], Any]
"""Minimises from a start until the objective raises."""


class Counted:
    """An objective that writes a `Course`, and raises `EndOfRunError` at its end."""

    def __init__(self, problem: Logistic) -> None:
        self.problem, self.course = problem, Course()
        self._steps = self._products = 0
        self._first = float(np.linalg.norm(problem(problem.start)[1]))
        self._start = process_time()

    def __call__(self, w: Vector) -> tuple[float, Vector]:
        """Evaluate, and write it down.

        Parameters
        ----------
        w : float64 array, shape (31,)

        Returns
        -------
        value : float
        gradient : float64 array, shape (31,)

        Raises
        ------
        EndOfRunError
            The gradient is small enough, or the budget is spent.
        """
        value, gradient = self.problem(w)
        course = self.course
        course.gradients.append(float(np.linalg.norm(gradient)) / self._first)
        course.steps.append(self._steps)
        course.products.append(self._products)
        course.seconds.append(process_time() - self._start)
        if course.arrived or len(course.gradients) == BUDGET:
            raise EndOfRunError
        return value, gradient

    def product(self, w: Vector, v: Vector) -> Vector:
        """Count and return a product with the Hessian.

        Parameters
        ----------
        w, v : float64 arrays, shape (31,)

        Returns
        -------
        float64 array, shape (31,)
        """
        self._products += 1
        return self.problem.hessian_product(w, v)

    def end_step(self, *_: Any) -> None:
        """Count a step: the callback of the minimisers."""
        self._steps += 1


def minimisers() -> dict[str, Minimiser]:
    """List the minimisers, ours first, with their own tests of convergence turned off.

    Returns
    -------
    dict of str to callable
    """
    return {
        LBFGS: lambda f, w: cb.minimize_lbfgs(f, w, memory=MEMORY, rtol=0.0, callback=f.end_step),
        LSR1: lambda f, w: cb.minimize_lsr1(f, w, memory=MEMORY, rtol=0.0, callback=f.end_step),
        LBFGSB: lambda f, w: _scipy(f, w, "L-BFGS-B", {"maxcor": MEMORY, "ftol": 0, "gtol": 0}),
        NEWTON: lambda f, w: _scipy(f, w, "trust-ncg", {"gtol": 0}, hessp=f.product),
        SR1_TRUST: lambda f, w: _scipy(f, w, "trust-constr", {"gtol": 0, "xtol": 0}, hess=SR1()),
    }


def _scipy(f: Counted, w: Vector, method: str, options: dict[str, Any], **second: Any) -> None:
    options = {"maxiter": BUDGET, **options}
    minimize(f, w, jac=True, method=method, callback=f.end_step, options=options, **second)


def courses(problem: Logistic, repeats: int) -> dict[str, Course]:
    """Run all minimisers by turns; the times are medians.

    Parameters
    ----------
    problem : Logistic
    repeats : int

    Returns
    -------
    dict of str to Course
    """
    runs: dict[str, list[Course]] = {name: [] for name in minimisers()}
    for _ in range(repeats):
        for name, minimiser in minimisers().items():
            counted = Counted(problem)
            with warnings.catch_warnings(), suppress(EndOfRunError):
                warnings.simplefilter("ignore")  # that it has come as far as rounding lets it is seen in the course
                minimiser(counted, problem.start)
            runs[name].append(counted.course)
    for many in runs.values():
        many[0].seconds = [median(times) for times in zip(*(course.seconds for course in many), strict=True)]
    return {name: many[0] for name, many in runs.items()}
