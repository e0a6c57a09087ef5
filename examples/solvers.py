"""The minimisers of the robustness table, called in the same way, their own tests of convergence turned off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import SR1, minimize

import curvblas as cb
from curvblas.examples.problems.problem import Vector

Objective: TypeAlias = Callable[[Vector], tuple[float, Vector]]

MEMORY = 10
FEW = 100
"""Up to so many variables there are solvers that keep an n x n matrix."""

LBFGS, LSR1, LBFGSB, CG = "curvblas L-BFGS", "curvblas L-SR1", "SciPy L-BFGS-B", "SciPy CG"
BFGS, SR1_TRUST, NEWTON = "SciPy BFGS", "SciPy trust-constr, SR1", "SciPy trust-ncg"


@dataclass(frozen=True)
class Solver:
    """A minimiser; ``run`` goes on until the objective raises or the solver gives up."""

    name: str
    run: Callable[[Objective, Vector, int], None]
    keeps_matrix: bool = False


def all_solvers() -> list[Solver]:
    """List the solvers, ours first.

    Returns
    -------
    list of Solver
    """
    return [
        Solver(LBFGS, _ours(cb.minimize_lbfgs)),
        Solver(LSR1, _ours(cb.minimize_lsr1)),
        Solver(LBFGSB, _scipy("L-BFGS-B", maxcor=MEMORY, ftol=0, gtol=0)),
        Solver(CG, _scipy("CG", gtol=0)),
        Solver(NEWTON, _newton),
        Solver(BFGS, _scipy("BFGS", gtol=0), keeps_matrix=True),
        Solver(SR1_TRUST, _sr1, keeps_matrix=True),
    ]


def _ours(minimiser: Callable[..., Any]) -> Callable[[Objective, Vector, int], None]:
    def run(objective: Objective, start: Vector, budget: int) -> None:
        minimiser(objective, start, memory=MEMORY, rtol=0, max_iterations=budget)

    return run


def _scipy(method: str, **options: Any) -> Callable[[Objective, Vector, int], None]:
    def run(objective: Objective, start: Vector, budget: int) -> None:
        minimize(objective, start, jac=True, method=method, options={"maxiter": budget, **options})

    return run


def _newton(objective: Objective, start: Vector, budget: int) -> None:
    """Newton-CG in a trust region; a Hessian product is the difference of two gradients, and one evaluation."""
    latest = [start, objective(start)[1]]

    def remembered(x: Vector) -> tuple[float, Vector]:
        value, gradient = objective(x)
        latest[:] = [x.copy(), gradient]
        return value, gradient

    def product(x: Vector, v: Vector) -> Vector:
        gradient = latest[1] if np.array_equal(latest[0], x) else remembered(x)[1]
        length = np.linalg.norm(v)
        if length == 0:
            return np.zeros_like(v)
        step = float(np.sqrt(np.finfo(np.float64).eps) * (1 + np.linalg.norm(x)) / length)
        return (objective(x + step * v)[1] - gradient) / step

    minimize(remembered, start, jac=True, hessp=product, method="trust-ncg", options={"gtol": 0, "maxiter": budget})


def _sr1(objective: Objective, start: Vector, budget: int) -> None:
    options = {"gtol": 0, "xtol": 0, "maxiter": budget}
    minimize(objective, start, jac=True, hess=SR1(), method="trust-constr", options=options)
