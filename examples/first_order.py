"""The two usual rivals: stochastic gradient descent with momentum, and Adam."""

from __future__ import annotations

import numpy as np

from curvblas.examples.network import Array, Layers, backward, forward, gradients
from curvblas.examples.outputs import Output


def mean_gradient(weights: Layers, output: Output, inputs: Array, targets: Array) -> Layers:
    """Gradient of the mean loss over a minibatch.

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    output : Output
    inputs : array, shape (N, sizes[0])
    targets : array, shape (N, sizes[-1])

    Returns
    -------
    list of arrays, shapes (q, p)
    """
    activations, natural = forward(weights, inputs)
    return gradients(activations, backward(weights, activations, output.mean(natural) - targets))


class Momentum:
    """SGD with heavy-ball momentum 0.9: ``v <- 0.9 v + grad``, ``W <- W - rate v`` (Polyak 1964)."""

    momentum = 0.9

    def __init__(self, weights: Layers, output: Output, rate: float) -> None:
        self.weights = [W.copy() for W in weights]
        self.output = output
        self.rate = rate
        self._velocity = [np.zeros_like(W) for W in weights]

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])
        """
        gradient = mean_gradient(self.weights, self.output, inputs, targets)
        for W, velocity, V in zip(self.weights, self._velocity, gradient, strict=True):
            velocity *= self.momentum
            velocity += V
            W -= self.rate * velocity


class Adam:
    """Adam with its published constants (Kingma and Ba 2015, algorithm 1)."""

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def __init__(self, weights: Layers, output: Output, rate: float) -> None:
        self.weights = [W.copy() for W in weights]
        self.output = output
        self.rate = rate
        self._steps = 0
        self._first = [np.zeros_like(W) for W in weights]
        self._second = [np.zeros_like(W) for W in weights]

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])
        """
        self._steps += 1
        gradient = mean_gradient(self.weights, self.output, inputs, targets)
        rate = self.rate / (1 - self.beta1**self._steps)
        debias = 1 / (1 - self.beta2**self._steps)
        for W, first, second, V in zip(self.weights, self._first, self._second, gradient, strict=True):
            first += (1 - self.beta1) * (V - first)
            second += (1 - self.beta2) * (V * V - second)
            W -= rate * first / (np.sqrt(debias * second) + self.epsilon)
