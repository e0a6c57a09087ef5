"""Methods that work on the weights as one vector: Rprop on all data, Gauss-Newton by conjugate gradients."""

from __future__ import annotations

import numpy as np

from curvblas.examples.network import Array, Layers, backward, directional_derivative, forward, gradients
from curvblas.examples.outputs import Output
from curvblas.examples.quasi_newton_network import VectorNetwork
from curvblas.methods import newton


class WithRprop(VectorNetwork):
    """Rprop (iRprop-), which looks at signs alone and wants the gradient of all data.

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    output : Output
    step_size : float > 0
        Of the first step of each weight.
    """

    def __init__(self, weights: Layers, output: Output, step_size: float) -> None:
        super().__init__(weights, output)
        self._method = newton.Rprop(self.x.size, step_size=step_size)

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])
        """
        self.x = self.x + self._method.step(self.value_and_gradient(self.x, inputs, targets)[1])


class HessianFree(VectorNetwork):
    """Gauss-Newton steps ``-(H + damping I)^-1 grad`` by a few conjugate gradients with products of H (Martens 2010).

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    output : Output
        Bernoulli: its Fisher matrix is ``mean (1 - mean)``.
    damping : float > 0
        In the unit of H.
    iterations : int >= 1
        Of conjugate gradients at most.
    """

    def __init__(self, weights: Layers, output: Output, damping: float, iterations: float) -> None:
        super().__init__(weights, output)
        self.damping, self.iterations = damping, int(iterations)

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])

        Raises
        ------
        FloatingPointError
            A product that is not finite.
        """
        weights = self.weights
        activations, natural = forward(weights, inputs)
        mean = self.output.mean(natural)

        def flat(output_derivatives: Array) -> Array:
            V = gradients(activations, backward(weights, activations, output_derivatives))
            return np.concatenate([layer.ravel() for layer in V])

        def product(v: Array) -> Array:
            tangent = directional_derivative(weights, activations, self._layers(v.astype(self.x.dtype)))
            return flat(mean * (1 - mean) * tangent) + self.damping * v

        found = newton.conjugate_gradients(product, -flat(mean - targets), max_iterations=self.iterations)
        if not np.isfinite(found.solution).all():
            raise FloatingPointError("Gauss-Newton: a product was not finite")
        self.x = self.x + found.solution.astype(self.x.dtype)
