"""Methods with steps of their own: Rprop, Gauss-Newton by conjugate gradients, sample space with memory."""

from __future__ import annotations

import numpy as np

import curvblas as cb
from curvblas.examples.network import Array, Layers, backward, directional_derivative, forward, gradients
from curvblas.examples.optimiser_comparison_directions import Pass
from curvblas.examples.outputs import Output
from curvblas.examples.quasi_newton_network import VectorNetwork
from curvblas.methods import exact, newton


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

        found = exact.conjugate_gradient(product, -flat(mean - targets), max_iterations=self.iterations)
        if not np.isfinite(found.solution).all():
            raise FloatingPointError("Gauss-Newton: a product was not finite")
        self.x = self.x + found.solution.astype(self.x.dtype)


class SampleSpace:
    """Natural gradient of a minibatch in the space of its samples, with the momentum of SPRING.

    With one sampled gradient a case as a row of R, and ``F = R^T R``, the step d minimises ``d.grad + |R d|^2 / 2 +
    damping / 2 |d - momentum d0|^2``, where d0 is the step before. The metric is that of Ren and Goldfarb 2019, the
    memory that of SPRING (Goldshlager et al. 2024).

    Parameters
    ----------
    weights : list of float32 arrays, shapes (q, p)
        Starting point, bias in the last column. Not modified.
    output : Output
    rate : float > 0
        Times d is what is added to the weights.
    damping : float > 0
        In the unit of F.
    seed : int
        Of the targets that are drawn.
    """

    momentum = 0.9

    def __init__(self, weights: Layers, output: Output, rate: float, damping: float, *, seed: int) -> None:
        self.weights, self.output = [W.copy() for W in weights], output
        self.rate, self.damping = rate, damping
        self._rng = np.random.default_rng([seed, 1])
        self._step = [np.zeros_like(W) for W in weights]

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])

        Raises
        ------
        FloatingPointError
            A system that could not be solved.
        """
        activations, natural = forward(self.weights, inputs)
        mean = self.output.mean(natural)
        V = gradients(activations, backward(self.weights, activations, mean - targets))
        batch = Pass(self.weights, activations, mean, V, self.output, self._rng)
        rows = [g / np.float32(np.sqrt(len(inputs))) for g in batch.sampled]
        kept = [np.float32(self.momentum) * d for d in self._step]
        h = [-(v + u) for v, u in zip(V, _transposed(activations, rows, _times(activations, rows, kept)), strict=True)]
        found = cb.sample_space_solve_layers(activations, rows, _times(activations, rows, h), self.damping, bias=True)
        if not found.ok:
            raise FloatingPointError(f"sample space: {cb.Status(int(found.status)).name}")
        # (R^T R + damping I)^-1 h by the formula of Woodbury.
        self._step = [d + (u - x) / np.float32(self.damping) for d, u, x in zip(kept, h, found.solution, strict=True)]
        self.weights = [W + np.float32(self.rate) * d for W, d in zip(self.weights, self._step, strict=True)]


def _times(activations: Layers, rows: Layers, v: Layers) -> Array:
    """``R v``."""
    parts = [((a @ V[:, :-1].T + V[:, -1]) * g).sum(axis=1) for a, g, V in zip(activations, rows, v, strict=True)]
    return np.asarray(sum(parts))


def _transposed(activations: Layers, rows: Layers, x: Array) -> Layers:
    """``R^T x``."""
    return gradients(activations, [g * (x * np.float32(len(x)))[:, None] for g in rows])
