"""Variational Monte Carlo on the chain of `ising`: minSR and SPRING against SGD.

From N sampled states come rows O of derivatives of log psi and local energies e, both centred and divided by sqrt(N).
The gradient of the energy is ``2 O^T e``. Stochastic reconfiguration, the natural gradient of wave functions, is
``(O^T O + damping I)^-1 O^T e``; minSR computes the same from N unknowns (Chen and Heyl 2024), and SPRING
(Goldshlager, Abrahamsen and Lin 2024) draws it towards ``momentum`` times the step before.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import thread_time

import numpy as np

import curvblas as cb
from curvblas.examples.contest import MINSR, SGD, SPRING, Contest, Training, Value
from curvblas.examples.first_order import Momentum
from curvblas.examples.ising import HIDDEN, SPINS, Sampler, WaveFunction, ground_state_energy
from curvblas.examples.network import Array

SPRING_MOMENTUM = 0.9


class MonteCarlo(Training):
    """Sampling, a direction from the samples, a step.

    Parameters
    ----------
    rule : Momentum
        What is done with the direction.
    sampler : Sampler
    ground : float
        Energy of the ground state, for the error.
    """

    def __init__(self, rule: Momentum, sampler: Sampler, ground: float) -> None:
        self.rule, self.sampler, self.ground = rule, sampler, ground

    def advance(self, count: int) -> float:
        """Take some steps.

        Parameters
        ----------
        count : int

        Returns
        -------
        float
            Seconds, those of sampling with them.
        """
        start = thread_time()
        for _ in range(count):
            psi = WaveFunction(self.rule.weights[0])
            s = self.sampler.sample(psi)
            rows, e = psi.log_derivatives(s), psi.local_energies(s)
            rows, e = (rows - rows.mean(axis=0)) / np.sqrt(len(s)), (e - e.mean()) / np.sqrt(len(s))
            self.rule.update([self.direction(rows, e).reshape(self.rule.weights[0].shape)])
        return thread_time() - start

    def direction(self, rows: Array, e: Array) -> Array:
        """Return the gradient; other methods put their own in its place.

        Parameters
        ----------
        rows : array, shape (N, P)
        e : array, shape (N,)

        Returns
        -------
        array, shape (P,)
        """
        return np.asarray(2 * rows.T @ e)

    def loss(self) -> float:
        """Evaluate the relative error of the energy, over all states.

        Returns
        -------
        float
        """
        return 1 - WaveFunction(self.rule.weights[0]).energy() / self.ground


class SampleSpace(MonteCarlo):
    """minSR, and with a momentum SPRING."""

    def __init__(self, rule: Momentum, sampler: Sampler, ground: float, damping: float, momentum: float) -> None:
        super().__init__(rule, sampler, ground)
        self.damping, self.momentum = damping, momentum
        self._previous = np.zeros(rule.weights[0].size)

    def direction(self, rows: Array, e: Array) -> Array:
        """Return the natural gradient.

        Parameters
        ----------
        rows : array, shape (N, P)
        e : array, shape (N,)

        Returns
        -------
        array, shape (P,)

        Raises
        ------
        FloatingPointError
            A system that could not be solved.
        """
        result = cb.sample_space_solve(rows, e, self.damping, previous=self._previous, momentum=self.momentum)
        if not result.ok:
            raise FloatingPointError(f"sample_space_solve: {cb.Status(int(result.status)).name}")
        self._previous = result.solution
        return self._previous


@dataclass(frozen=True)
class IsingContest(Contest):
    """Equal steps for all; sampling takes most of the time."""

    ground: float

    def start(self, optimiser: str, value: Value, seed: int) -> MonteCarlo:
        """Set up a run.

        Parameters
        ----------
        optimiser : str
        value : tuple of float
        seed : int

        Returns
        -------
        MonteCarlo
        """
        weights = 0.1 * np.random.default_rng(seed).standard_normal((HIDDEN, SPINS + 1))
        sampler = Sampler(np.random.default_rng([seed, 1]))
        if optimiser == SGD:
            return MonteCarlo(Momentum([weights], *value), sampler, self.ground)
        rate, damping = value
        momentum = SPRING_MOMENTUM if optimiser == SPRING else 0.0
        return SampleSpace(Momentum([weights], rate, 0.0), sampler, self.ground, damping, momentum)


def ising_contest() -> IsingContest:
    """Make the contest; every optimiser has 15 combinations of settings.

    Returns
    -------
    IsingContest
    """
    rates = (0.003, 0.01, 0.03, 0.1, 0.3)
    return IsingContest(
        name="spin chain",
        loss="relative error of the energy",
        steps=300,
        axes={
            SGD: {"rate": rates, "momentum": (0.5, 0.9, 0.97)},
            MINSR: {"rate": rates, "damping": (1e-5, 1e-4, 1e-3)},
            SPRING: {"rate": rates, "damping": (1e-3, 1e-2, 1e-1)},
        },
        ground=ground_state_energy(),
    )
