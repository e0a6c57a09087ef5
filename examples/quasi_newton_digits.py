"""Runs of quasi-Newton methods and of Adam on two networks for digits, measured in passes over the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import thread_time
from typing import TypeAlias

import numpy as np

import curvblas as cb
from curvblas.examples.contest import ADAM_256, ADAM_ALL, LBFGS, LBFGS_THIRDS, LSR1, LSR1_THIRDS, Contest, Value
from curvblas.examples.data import Data, digits_to_classify, digits_to_reconstruct
from curvblas.examples.descent import Descent, NetworkTraining, Optimiser
from curvblas.examples.first_order import Adam, FirstOrder
from curvblas.examples.network import Array, initial_weights
from curvblas.examples.outputs import BERNOULLI, SOFTMAX, Output
from curvblas.examples.quasi_newton_network import MEMORY, MinibatchLBFGS, MinibatchLSR1, VectorNetwork

Minimiser: TypeAlias = Callable[..., cb.MinimizeResult]


class Epochs(Descent):
    """An optimiser on minibatches whose steps are counted in pairs of passes over the data.

    Parameters
    ----------
    optimiser : Optimiser
    data : Data
    batch : int
    seed : int
        As for `Descent`.
    steps : int
        Steps that evaluate as many gradients of cases as two passes over the data do.
    """

    def __init__(self, optimiser: Optimiser, data: Data, batch: int, seed: int, steps: int) -> None:
        super().__init__(optimiser, data, batch, seed)
        self._steps = steps

    def advance(self, count: int) -> float:
        """Take the steps of an even number of passes.

        Parameters
        ----------
        count : int

        Returns
        -------
        float
            Seconds.
        """
        return super().advance(count * self._steps // 2)


class Minimisation(NetworkTraining):
    """A minimiser on all data at once: run in the first call, then looked at after so many evaluations.

    Parameters
    ----------
    minimiser : callable
        `curvblas.minimize_lbfgs`, or another one that is called like it.
    network : VectorNetwork
        Its weights are those that the minimiser had found after the evaluations so far.
    data : Data
    evaluations : int
        Of the mean loss and its gradient, until the minimiser is stopped.
    """

    def __init__(self, minimiser: Minimiser, network: VectorNetwork, data: Data, evaluations: int) -> None:
        super().__init__(network, data)
        self._minimiser, self._network, self._budget = minimiser, network, evaluations
        self._evaluations = 0
        self._course: list[tuple[int, float, Array]] = [(0, 0.0, network.x)]

    def advance(self, count: int) -> float:
        """Go on by some evaluations.

        Parameters
        ----------
        count : int

        Returns
        -------
        float
            Seconds.
        """
        before = self._now()[1]
        if not self._evaluations:
            self._run()
        self._evaluations += count
        _, seconds, self._network.x = self._now()
        return seconds - before

    def _now(self) -> tuple[int, float, Array]:
        return next(point for point in reversed(self._course) if point[0] <= self._evaluations)

    def _run(self) -> None:
        start = thread_time()

        def watch(result: cb.MinimizeResult) -> bool:
            self._course.append((result.nfev, thread_time() - start, result.x))
            return result.nfev >= self._budget

        def loss(x: Array) -> tuple[float, Array]:
            return self._network.value_and_gradient(x, self.data.inputs, self.data.targets)

        result = self._minimiser(loss, self._network.x, memory=MEMORY, rtol=0.0, callback=watch)
        self._course.append((result.nfev, thread_time() - start, result.x))


@dataclass(frozen=True)
class DigitsContest(Contest):
    """A network for digits; steps are passes over the data, in evaluations of the loss with its gradient."""

    data: Data
    output: Output
    sizes: tuple[int, ...]

    def start(self, optimiser: str, value: Value, seed: int) -> NetworkTraining:
        """Set up a run; equal seeds start from equal weights and see the cases in the same order.

        Parameters
        ----------
        optimiser : str
            One of ``axes``.
        value : tuple of float
            A rate for Adam and L-BFGS in thirds, gamma for L-SR1 in thirds, nothing for the minimisers.
        seed : int
            Of the weights and of the order of the cases.

        Returns
        -------
        NetworkTraining
        """
        weights, cases = initial_weights(self.sizes, np.random.default_rng(seed)), len(self.data.inputs)
        if optimiser in {LBFGS, LSR1}:
            minimiser = cb.minimize_lbfgs if optimiser == LBFGS else cb.minimize_lsr1
            return Minimisation(minimiser, VectorNetwork(weights, self.output), self.data, self.steps)
        if optimiser in {ADAM_ALL, ADAM_256}:
            batch = cases if optimiser == ADAM_ALL else 256
            adam = FirstOrder(Adam(weights, *value), self.output)
            return Epochs(adam, self.data, batch, seed, 2 * (cases // batch))
        method = MinibatchLBFGS if optimiser == LBFGS_THIRDS else MinibatchLSR1
        # A step evaluates a third twice.
        return Epochs(method(weights, self.output, *value), self.data, cases // 3, seed, 3)


def digits_contests() -> list[DigitsContest]:
    """Make the two contests, with five trials for everything that has a step size.

    Returns
    -------
    list of DigitsContest
        The classifier, the autoencoder.
    """
    classifier = DigitsContest(
        name="digits classifier",
        loss="nats per scan, training scans",
        steps=40,
        axes={
            LBFGS: {},
            LSR1: {},
            ADAM_ALL: {"rate": (0.003, 0.01, 0.03, 0.1, 0.3)},
            ADAM_256: {"rate": (0.001, 0.003, 0.01, 0.03, 0.1)},
            LBFGS_THIRDS: {"rate": (0.1, 0.2, 0.4, 0.7, 1.0)},
            LSR1_THIRDS: {"gamma": (0.03, 0.1, 0.3, 1.0, 3.0)},
        },
        data=digits_to_classify(),
        output=SOFTMAX,
        sizes=(64, 128, 64, 10),
    )
    autoencoder = DigitsContest(
        name="digits autoencoder",
        loss="nats per scan, all scans",
        steps=300,
        axes={
            LBFGS: {},
            LSR1: {},
            ADAM_ALL: {"rate": (0.001, 0.003, 0.01, 0.03, 0.1)},
            ADAM_256: {"rate": (0.0003, 0.001, 0.003, 0.01, 0.03)},
            LBFGS_THIRDS: {"rate": (0.4, 0.7, 1.0, 1.4, 2.0)},
            LSR1_THIRDS: {"gamma": (0.01, 0.03, 0.1, 0.3, 1.0)},
        },
        data=digits_to_reconstruct(),
        output=BERNOULLI,
        sizes=(64, 128, 32, 128, 64),
    )
    return [classifier, autoencoder]
