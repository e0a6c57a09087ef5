"""The two usual rivals: stochastic gradient descent with momentum, and Adam."""

from __future__ import annotations

from typing import Protocol

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


class Rule(Protocol):
    """What is done to ``weights``, in place, with a gradient or with another direction."""

    weights: Layers

    def update(self, direction: Layers) -> None:
        """Change the weights."""


class Momentum:
    """SGD with heavy-ball momentum: ``v <- momentum v + grad``, ``W <- W - rate v`` (Polyak 1964)."""

    def __init__(self, weights: Layers, rate: float, momentum: float = 0.9) -> None:
        self.weights = [W.copy() for W in weights]
        self.rate, self.momentum = rate, momentum
        self._velocity = [np.zeros_like(W) for W in weights]

    def update(self, direction: Layers) -> None:
        """Take one step.

        Parameters
        ----------
        direction : list of arrays, shapes (q, p)
            The gradient, or what takes its place.
        """
        for W, velocity, V in zip(self.weights, self._velocity, direction, strict=True):
            velocity *= self.momentum
            velocity += V
            W -= self.rate * velocity


class Adam:
    """Adam, as published if it is given the rate alone (Kingma and Ba 2015, algorithm 1)."""

    beta2, epsilon = 0.999, 1e-8

    def __init__(self, weights: Layers, rate: float, beta1: float = 0.9) -> None:
        self.weights = [W.copy() for W in weights]
        self.rate, self.beta1 = rate, beta1
        self._steps = 0
        self._first = [np.zeros_like(W) for W in weights]
        self._second = [np.zeros_like(W) for W in weights]

    def update(self, direction: Layers) -> None:
        """Take one step.

        Parameters
        ----------
        direction : list of arrays, shapes (q, p)
            The gradient.
        """
        self._steps += 1
        rate = self.rate / (1 - self.beta1**self._steps)
        debias = 1 / (1 - self.beta2**self._steps)
        for W, first, second, V in zip(self.weights, self._first, self._second, direction, strict=True):
            first += (1 - self.beta1) * (V - first)
            second += (1 - self.beta2) * (V * V - second)
            W -= rate * first / (np.sqrt(debias * second) + self.epsilon)


class FirstOrder:
    """A rule, and the gradients of a network's minibatches."""

    def __init__(self, rule: Rule, output: Output) -> None:
        self.rule, self.output = rule, output
        self.weights = rule.weights

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])
        """
        self.rule.update(self.direction(inputs, targets))

    def direction(self, inputs: Array, targets: Array) -> Layers:
        """Return what the rule gets: here the gradient; other methods put their own in its place.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])

        Returns
        -------
        list of arrays, shapes (q, p)
        """
        return mean_gradient(self.weights, self.output, inputs, targets)
