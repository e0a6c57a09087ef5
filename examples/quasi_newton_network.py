"""L-BFGS and L-SR1 on a network: its weights as one vector, and steps on large minibatches."""

from __future__ import annotations

import numpy as np

import curvblas as cb
from curvblas.examples.network import Array, Layers, backward, forward, gradients
from curvblas.examples.outputs import Output

MEMORY = 10


class VectorNetwork:
    """A network whose weights are one vector, as quasi-Newton methods want them.

    Attributes
    ----------
    x : array, shape (n,)
        The weights.
    weights : list of arrays, shapes (q, p)
        Views of them.
    """

    def __init__(self, weights: Layers, output: Output) -> None:
        self.x = np.concatenate([W.ravel() for W in weights])
        self.output = output
        self._shapes = [W.shape for W in weights]

    @property
    def weights(self) -> Layers:
        """The weights, a view for each layer."""
        return self._layers(self.x)

    def value_and_gradient(self, x: Array, inputs: Array, targets: Array) -> tuple[float, Array]:
        """Evaluate the mean loss, and its gradient.

        Parameters
        ----------
        x : array, shape (n,)
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])

        Returns
        -------
        value : float
        gradient : array, shape (n,)
        """
        weights = self._layers(x)
        activations, natural = forward(weights, inputs)
        g = backward(weights, activations, self.output.mean(natural) - targets)
        value = float(self.output.losses(natural, targets).mean(dtype=np.float64))
        return value, np.concatenate([V.ravel() for V in gradients(activations, g)])

    def _layers(self, x: Array) -> Layers:
        ends = np.cumsum([q * p for q, p in self._shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(x, ends), self._shapes, strict=True)]


class MinibatchLBFGS(VectorNetwork):
    """L-BFGS on large minibatches: both gradients of a pair, and the test of the step, are of the same one.

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    output : Output
    rate : float
        Times the direction is the step.
    """

    def __init__(self, weights: Layers, output: Output, rate: float) -> None:
        super().__init__(weights, output)
        self.rate, self._method = rate, cb.LBFGS(self.x.size, memory=MEMORY, curvature="powell")

    def step(self, inputs: Array, targets: Array) -> None:
        """Take a step that lowers the loss of the minibatch, or none; keep the pair of either.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])
        """
        value, gradient = self.value_and_gradient(self.x, inputs, targets)
        # Without pairs the length of the gradient says nothing about that of the step.
        rate = self.rate if self._method.kept else self.rate / max(1.0, float(np.linalg.norm(gradient)))
        s = np.float32(rate) * self._method.direction(gradient)
        trial = self.x + s
        trial_value, trial_gradient = self.value_and_gradient(trial, inputs, targets)
        self._method.update(s, trial_gradient - gradient)
        if trial_value < value:
            self.x = trial


class MinibatchLSR1(VectorNetwork):
    """L-SR1 in a trust region on large minibatches: both gradients of a pair, and the ratio, are of the same one.

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    output : Output
    gamma : float
        B without pairs: the reciprocal of a rate.
    """

    def __init__(self, weights: Layers, output: Output, gamma: float) -> None:
        super().__init__(weights, output)
        self._method, self._radius = cb.LSR1(self.x.size, memory=MEMORY, gamma=gamma), 1.0

    def step(self, inputs: Array, targets: Array) -> None:
        """Take the step of the model if the loss of the minibatch falls; keep the pair in any case.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])
        """
        value, gradient = self.value_and_gradient(self.x, inputs, targets)
        found = self._method.step(gradient, self._radius)
        if not found.ok:
            self._method.clear()
            return
        trial = self.x + found.step
        trial_value, trial_gradient = self.value_and_gradient(trial, inputs, targets)
        self._method.update(found.step, trial_gradient - gradient)
        predicted = float(found.predicted_reduction)
        ratio = (value - trial_value) / predicted if predicted > 0 else -np.inf
        length = float(np.linalg.norm(found.step))
        if ratio > 0.75:
            self._radius *= 2 if length > 0.8 * self._radius else 1
        elif not ratio >= 0.1:
            self._radius = 0.5 * min(self._radius, length)
        if ratio > 1e-5:
            self.x = trial
