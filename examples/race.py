"""Runs of minimisers on test problems: what is counted, and when a problem is solved."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import process_time

import numpy as np

from curvblas.examples.problems import Problem
from curvblas.examples.problems.problem import Vector
from curvblas.examples.solvers import FEW, Solver

TOLERANCE = 1e-6
FINISHED = 1e-9
"""Gradients so small end a run: it is at a minimum, though perhaps not at the lowest."""
REPEATS = 3
BRIEF = 0.1
"""Runs of fewer seconds are repeated; of each evaluation the earliest time counts."""


class EndOfRunError(Exception):
    """The budget is spent, or there is nothing left to minimise."""


@dataclass
class Run:
    """Values, largest entries of the gradient and seconds of processor time, after every evaluation."""

    values: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def evaluations(self, best: float, *, stationary: bool = True) -> float:
        """Count the evaluations up to the first that solves the problem.

        Parameters
        ----------
        best : float
            Lowest value that any solver found.
        stationary : bool, default True
            Whether the gradient must be small as well.

        Returns
        -------
        float
            Infinity if none does.
        """
        met = np.array(self.values) - best <= TOLERANCE * (self.values[0] - best)
        if stationary:
            met &= self._small(best)
        return int(met.argmax()) + 1 if met.any() else np.inf

    def time(self, best: float) -> float:
        """Tell after how many seconds the problem was solved, with a small gradient.

        Parameters
        ----------
        best : float

        Returns
        -------
        float
            Infinity if it was not.
        """
        count = self.evaluations(best)
        return self.seconds[int(count) - 1] if np.isfinite(count) else np.inf

    def ends_elsewhere(self, best: float) -> bool:
        """Tell whether the gradient became small only where the value is not the lowest.

        Parameters
        ----------
        best : float

        Returns
        -------
        bool
        """
        return bool(self._small(best).any()) and np.isinf(self.evaluations(best, stationary=False))

    def _small(self, best: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.array(self.gradients) <= TOLERANCE * min(self.gradients[0], 1 + abs(best))


@dataclass(frozen=True)
class Race:
    """The runs of all solvers on one problem, by name."""

    problem: Problem
    runs: dict[str, Run]

    @property
    def best(self) -> float:
        """Lowest value that any of them found."""
        return min(min(run.values) for run in self.runs.values())


def race(problem: Problem, solvers: Sequence[Solver], budget: int) -> Race:
    """Run all solvers that can take so many variables.

    Parameters
    ----------
    problem : Problem
    solvers : sequence of Solver
    budget : int
        Evaluations of the function with its gradient, for each solver.

    Returns
    -------
    Race
    """
    runs = {}
    for solver in solvers:
        if problem.n <= FEW or not solver.keeps_matrix:
            run = run_solver(problem, solver, budget)
            if run.seconds[-1] < BRIEF:
                again = [run_solver(problem, solver, budget).seconds for _ in range(REPEATS - 1)]
                run.seconds = np.min([run.seconds, *again], axis=0).tolist()
            runs[solver.name] = run
    return Race(problem, runs)


def run_solver(problem: Problem, solver: Solver, budget: int) -> Run:
    """Let a solver minimise until the budget is spent, the gradient is tiny, or the solver gives up.

    Parameters
    ----------
    problem : Problem
    solver : Solver
    budget : int

    Returns
    -------
    Run
    """
    run = Run()
    start = process_time()

    def objective(x: Vector) -> tuple[float, Vector]:
        if len(run.values) == budget:
            raise EndOfRunError
        value, gradient = problem(x)
        size = float(np.abs(gradient).max())
        finite = np.isfinite(value) and np.isfinite(size)
        run.values.append(float(value) if finite else np.inf)
        run.gradients.append(size if finite else np.inf)
        run.seconds.append(process_time() - start)
        if size <= FINISHED * min(run.gradients[0], 1 + abs(value)):
            raise EndOfRunError
        return float(value), gradient

    # Steps may lead to where a function overflows; that solvers give up is seen in what they reached.
    with np.errstate(all="ignore"), warnings.catch_warnings(), suppress(EndOfRunError):
        warnings.simplefilter("ignore")
        solver.run(objective, problem.start.copy(), budget)
    return run
