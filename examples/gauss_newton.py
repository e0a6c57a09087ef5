"""Gauss-Newton in sample space against SGD and Adam, on the network of `poisson`.

With the Jacobian J of the residuals r, the step is ``(J^T J + damping I)^-1 J^T r = J^T (J J^T + damping I)^-1 r``: as
many unknowns as points, not as parameters. The residuals of a linear equation make it energy natural gradient descent
(Mueller and Zeinhofer 2023), in the norm of the residuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import thread_time

import numpy as np

import curvblas as cb
from curvblas.examples.contest import ADAM, GAUSS_NEWTON, SGD, Contest, Training, Value
from curvblas.examples.first_order import Adam, Momentum
from curvblas.examples.network import Array
from curvblas.examples.poisson import Poisson, initial_parameters

LENGTHS = 0.5 ** np.arange(6)
SMALLEST_DAMPING = 1e-13  # J J^T has eigenvalues of about 1e2, and as much rounding


class FirstOrderOnPoisson(Training):
    """SGD with momentum or Adam, from gradients without the Jacobian."""

    def __init__(self, problem: Poisson, rule: Momentum | Adam) -> None:
        self.problem, self.rule = problem, rule

    def advance(self, count: int) -> float:
        """Take some steps.

        Parameters
        ----------
        count : int

        Returns
        -------
        float
            Seconds.
        """
        start = thread_time()
        for _ in range(count):
            self.rule.update([self.problem.gradient(self.rule.weights[0])])
        return thread_time() - start

    def loss(self) -> float:
        """Evaluate the relative L2 error.

        Returns
        -------
        float
        """
        return self.problem.error(self.rule.weights[0])


class GaussNewton(Training):
    """Steps of Gauss and Newton with the damping of Levenberg, each shortened until the residuals become less.

    Parameters
    ----------
    problem : Poisson
    theta : array, shape (P,)
        Starting point.
    damping : float > 0
        At the start; divided by ``cut`` after each step in full length, times 4 after each other one.
    cut : float > 1
    """

    def __init__(self, problem: Poisson, theta: Array, damping: float, cut: float) -> None:
        self.problem, self.theta = problem, theta
        self.damping, self.cut = damping, cut

    def advance(self, count: int) -> float:
        """Take some steps.

        Parameters
        ----------
        count : int

        Returns
        -------
        float
            Seconds.

        Raises
        ------
        FloatingPointError
            A system that could not be solved.
        """
        start = thread_time()
        for _ in range(count):
            r = self.problem.residuals(self.theta)
            result = cb.sample_space_solve(self.problem.jacobian(self.theta), r, self.damping)
            if not result.ok:
                raise FloatingPointError(f"Gauss-Newton: {cb.Status(int(result.status)).name}")
            length = self._length(result.solution, float(r @ r))
            self.theta = self.theta - length * result.solution
            self.damping = max(self.damping / self.cut, SMALLEST_DAMPING) if length == 1 else 4 * self.damping
        return thread_time() - start

    def _length(self, step: Array, before: float) -> float:
        for length in LENGTHS:
            r = self.problem.residuals(self.theta - length * step)
            if r @ r < before:
                return float(length)
        return 0.0

    def loss(self) -> float:
        """Evaluate the relative L2 error.

        Returns
        -------
        float
        """
        return self.problem.error(self.theta)


@dataclass(frozen=True)
class PoissonContest(Contest):
    """SGD and Adam take ``steps`` steps, Gauss-Newton a tenth of them."""

    def steps_of(self, optimiser: str) -> int:
        """Length of the runs of one optimiser.

        Parameters
        ----------
        optimiser : str

        Returns
        -------
        int
        """
        return self.steps // 10 if optimiser == GAUSS_NEWTON else self.steps

    def start(self, optimiser: str, value: Value, seed: int) -> Training:
        """Set up a run.

        Parameters
        ----------
        optimiser : str
        value : tuple of float
        seed : int

        Returns
        -------
        Training
        """
        theta = initial_parameters(np.random.default_rng(seed))
        if optimiser == GAUSS_NEWTON:
            return GaussNewton(Poisson(), theta, *value)
        rule = Momentum([theta], *value) if optimiser == SGD else Adam([theta], *value)
        return FirstOrderOnPoisson(Poisson(), rule)


def poisson_contest() -> PoissonContest:
    """Make the contest; every optimiser has 15 combinations of settings.

    Returns
    -------
    PoissonContest
    """
    return PoissonContest(
        name="Poisson's equation",
        loss="relative L2 error",
        steps=5000,
        axes={
            SGD: {"rate": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), "momentum": (0.9, 0.99, 0.999)},
            ADAM: {"rate": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), "beta1": (0.9, 0.99, 0.999)},
            GAUSS_NEWTON: {"damping": (1e-2, 1e-1, 1.0, 10.0, 100.0), "cut": (4.0, 16.0, 64.0)},
        },
    )
