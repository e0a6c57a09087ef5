"""A network on its way down: any optimiser, fed with minibatches."""

from __future__ import annotations

from time import thread_time
from typing import Any, Protocol

import numpy as np

from curvblas.examples.contest import Training
from curvblas.examples.data import Data, minibatches
from curvblas.examples.kfac import KFAC
from curvblas.examples.network import Array, Layers, forward
from curvblas.examples.outputs import Output


class Model(Protocol):
    """Anything with the weights of a network."""

    @property
    def weights(self) -> Layers:
        """Its weights now."""

    output: Output


class Optimiser(Model, Protocol):
    """Anything that improves its ``weights`` on one minibatch at a time."""

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch."""


class NetworkTraining(Training):
    """The training of a network on a data set; subclasses know how.

    Parameters
    ----------
    model : Model
        What is trained.
    data : Data
    """

    def __init__(self, model: Model, data: Data) -> None:
        self.model, self.data = model, data

    def loss(self) -> float:
        """Evaluate the mean loss of the cases that are reported.

        Returns
        -------
        float
        """
        natural = forward(self.model.weights, self.data.reported_inputs)[1]
        losses = self.model.output.losses(natural, self.data.reported_targets)
        return float(losses.mean(dtype=np.float64))

    def results(self) -> dict[str, Any]:
        """Evaluate the accuracy on the test cases.

        Returns
        -------
        dict
        """
        if self.data.test_inputs is None:
            return {}
        natural = forward(self.model.weights, self.data.test_inputs)[1]
        return {"accuracy": float((natural.argmax(axis=1) == self.data.test_labels).mean())}


class Descent(NetworkTraining):
    """An optimiser on the minibatches of a data set; drawing them is not part of its time.

    Parameters
    ----------
    optimiser : Optimiser
    data : Data
    batch : int
        Cases in a minibatch.
    seed : int
        Of the order of the cases: the same for every optimiser.
    """

    def __init__(self, optimiser: Optimiser, data: Data, batch: int, seed: int) -> None:
        super().__init__(optimiser, data)
        self.optimiser = optimiser
        self._batches = minibatches(data, batch, np.random.default_rng([seed, 2]))

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
        batches = [next(self._batches) for _ in range(count)]
        start = thread_time()
        for inputs, targets in batches:
            self.optimiser.step(inputs, targets)
        return thread_time() - start

    def results(self) -> dict[str, Any]:
        """Evaluate the accuracy on the test cases, and hand on what K-FAC has counted.

        Returns
        -------
        dict
        """
        results = super().results()
        if isinstance(self.optimiser, KFAC):
            results |= {"phases": self.optimiser.watch.seconds, "repaired": self.optimiser.repaired}
        return results
