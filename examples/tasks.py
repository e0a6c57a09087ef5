"""What is trained in the demonstration, for how long, and which values each optimiser may try."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from curvblas.examples import kfac
from curvblas.examples.contest import ADAM, KALDI, KFAC, SGD, TONGA, Contest, Value
from curvblas.examples.data import Data, digits_to_classify, digits_to_reconstruct, patches_to_reconstruct
from curvblas.examples.descent import Descent, Optimiser
from curvblas.examples.first_order import Adam, FirstOrder, Momentum
from curvblas.examples.natural import Kaldi, Tonga
from curvblas.examples.network import Layers, initial_weights
from curvblas.examples.outputs import BERNOULLI, GAUSSIAN, SOFTMAX, Output

C = TypeVar("C", bound=Contest)


@dataclass(frozen=True)
class Task(Contest):
    """A data set, a network and the budget of every optimiser.

    ``steps`` are the steps of SGD and Adam; the others take fewer, in about the same time.
    """

    data: Data
    output: Output
    sizes: tuple[int, ...]
    batch: int

    def steps_of(self, optimiser: str) -> int:
        """Length of the runs of one optimiser.

        Parameters
        ----------
        optimiser : str

        Returns
        -------
        int
        """
        return self.steps // {KFAC: 4, TONGA: 2, KALDI: 2}.get(optimiser, 1)

    def start(self, optimiser: str, value: Value, seed: int) -> Descent:
        """Set up a run; equal seeds start from equal weights and see the cases in the same order.

        Parameters
        ----------
        optimiser : str
            SGD, ADAM, KFAC, TONGA or KALDI.
        value : tuple of float
            Initial damping for K-FAC; the learning rate of the others first, and what else their classes have.
        seed : int
            Of the weights, of the order of the cases and of K-FAC's samples.

        Returns
        -------
        Descent
        """
        weights = initial_weights(self.sizes, np.random.default_rng(seed))
        made = self._optimiser(optimiser, value, weights, np.random.default_rng([seed, 1]))
        return Descent(made, self.data, self.batch, seed)

    def _optimiser(self, name: str, value: Value, weights: Layers, rng: np.random.Generator) -> Optimiser:
        if name == KFAC:
            return kfac.KFAC(weights, self.output, value[0], rng)
        if name == TONGA:
            return Tonga(weights, self.output, *value)
        if name == KALDI:
            return Kaldi(weights, self.output, *value)
        rule = Momentum(weights, *value) if name == SGD else Adam(weights, *value)
        return FirstOrder(rule, self.output)


def all_tasks() -> list[Task]:
    """Make the three tasks of the demonstration.

    Returns
    -------
    list of Task
        The digits autoencoder, about which the demonstration makes its promise, comes first.
    """
    return [
        Task(
            name="digits autoencoder",
            loss="nats per scan, all scans",
            data=digits_to_reconstruct(),
            output=BERNOULLI,
            sizes=(64, 256, 128, 32, 128, 256, 64),
            batch=256,
            steps=1500,
            axes={
                SGD: {"rate": (0.001, 0.003, 0.01, 0.03, 0.1)},
                ADAM: {"rate": (0.0003, 0.001, 0.003, 0.01, 0.03)},
                KFAC: {"damping": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)},
            },
        ),
        Task(
            name="digits classifier",
            loss="nats per scan, training scans",
            data=digits_to_classify(),
            output=SOFTMAX,
            sizes=(64, 128, 64, 10),
            batch=256,
            steps=400,
            axes={
                SGD: {"rate": (0.01, 0.03, 0.1, 0.3, 1.0)},
                ADAM: {"rate": (0.001, 0.003, 0.01, 0.03, 0.1)},
                KFAC: {"damping": (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)},
            },
        ),
        Task(
            name="patches autoencoder",
            loss="half squared error, held-out",
            data=patches_to_reconstruct(),
            output=GAUSSIAN,
            sizes=(144, 256, 64, 256, 144),
            batch=512,
            steps=400,
            axes={
                SGD: {"rate": (0.001, 0.003, 0.01, 0.03, 0.1)},
                ADAM: {"rate": (0.0003, 0.001, 0.003, 0.01, 0.03)},
                KFAC: {"damping": (1e-3, 1e-2, 1e-1, 1e0, 1e1)},
            },
        ),
    ]


def quick(contest: C) -> C:
    """Shorten a contest to a fifth of its steps and to the inner values of each setting.

    Parameters
    ----------
    contest : Contest

    Returns
    -------
    Contest
    """
    axes = {
        optimiser: {setting: values[1:-1] for setting, values in settings.items()}
        for optimiser, settings in contest.axes.items()
    }
    return replace(contest, steps=contest.steps // 5, axes=axes)
