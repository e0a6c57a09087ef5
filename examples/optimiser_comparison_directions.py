"""Directions of the methods that precondition the gradient of a minibatch, in one form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from curvblas.examples.first_order import FirstOrder, Momentum
from curvblas.examples.network import Array, Layers, backward, forward, gradients, inner
from curvblas.examples.outputs import Output
from curvblas.methods import exact, kfac, prong, unitwise
from curvblas.methods.relative_fisher import RelativeNaturalGradient

DECAY = 0.95
PERIOD = 10  # steps between two inversions, for the methods that may wait


@dataclass(frozen=True)
class Pass:
    """What the network makes of a minibatch; lists have one array a layer.

    Attributes
    ----------
    weights : list of arrays, shapes (q, p)
    activations : list of arrays, shapes (N, p - 1)
    mean : array, shape (N, o)
        Of the output distribution.
    rng : numpy.random.Generator
        Draws targets from the model.
    grads : list of arrays, shapes (q, p)
        Of the mean loss.
    """

    weights: Layers
    activations: Layers
    mean: Array
    grads: Layers
    output: Output
    rng: np.random.Generator

    @property
    def sampled(self) -> Layers:
        """Derivatives of each case's loss on targets that the model draws, shapes (N, q)."""
        return backward(self.weights, self.activations, self.mean - self.output.sample(self.mean, self.rng))

    @property
    def scores(self) -> Layers:
        """Pre-activations of every layer, shapes (N, q)."""
        return [a @ W[:, :-1].T + W[:, -1] for W, a in zip(self.weights, self.activations, strict=True)]


Direction: TypeAlias = Callable[[Pass], Layers]


class Preconditioned(FirstOrder):
    """SGD with momentum 0.9, and a direction of second order in the place of the gradient.

    Parameters
    ----------
    weights : list of float32 arrays, shapes (q, p)
        Starting point, bias in the last column. Not modified.
    output : Output
    rate, clip : float > 0
        As ``rate`` and ``limit`` of `curvblas.methods.exact.kl_clip`.
    direction : callable
        Gives the direction of a `Pass`.
    seed : int
        Of the targets that are drawn.
    """

    rule: Momentum

    def __init__(
        self, weights: Layers, output: Output, rate: float, clip: float, direction: Direction, seed: int
    ) -> None:
        super().__init__(Momentum(weights, rate), output)
        self._clip, self._direction, self._rng = clip, direction, np.random.default_rng([seed, 1])

    def direction(self, inputs: Array, targets: Array) -> Layers:
        """Return what takes the place of the gradient.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])

        Returns
        -------
        list of arrays, shapes (q, p)
        """
        activations, natural = forward(self.weights, inputs)
        mean = self.output.mean(natural)
        grads = gradients(activations, backward(self.weights, activations, mean - targets))
        u = self._direction(Pass(self.weights, activations, mean, grads, self.output, self._rng))
        # In float32 the model may be a little indefinite: a negative product is none.
        nu = exact.kl_clip(max(inner(grads, u), 0.0), self.rule.rate, self._clip)
        return [np.float32(nu) * layer for layer in u]


def kronecker(method: str, weights: Layers, damping: float) -> Direction:
    """K-FAC, or E-KFAC with ``method="ekfac"``; the Fisher matrix is that of the model."""
    layers = [kfac.Layer(W.shape[0], W.shape[1] - 1) for W in weights]
    state = kfac.KFAC(layers, damping=damping, method=method, decay=DECAY, period=PERIOD)

    def direction(batch: Pass) -> Layers:
        state.update(batch.activations, batch.sampled)
        return list(state.precondition(batch.grads))

    return direction


def whitened(weights: Layers, damping: float) -> Direction:
    """PRONG+, whose coordinates are those of the minibatch in every `PERIOD`-th step."""
    state = prong.PRONG([prong.Layer(W.shape[0], W.shape[1] - 1) for W in weights], damping=damping)
    steps = 0

    def direction(batch: Pass) -> Layers:
        nonlocal steps
        if steps % PERIOD == 0:
            state.reparametrise(batch.activations, batch.scores)
        steps += 1
        return [-step for step in state.step(batch.grads, rate=1.0)]

    return direction


def whole_units(damping: float) -> Direction:
    """Unitwise natural gradient, targets drawn from the model."""
    state = unitwise.UnitwiseNaturalGradient(damping=damping, decay=DECAY)

    def direction(batch: Pass) -> Layers:
        squares = [unitwise.outer_product_weights(g) for g in batch.sampled]
        return list(state.precondition(batch.grads, batch.activations, squares))

    return direction


def quasi_diagonal(damping: float) -> Direction:
    """Quasi-diagonal reduction of the backpropagated metric."""
    state = unitwise.QuasiDiagonalNaturalGradient(damping=damping, decay=DECAY)

    def direction(batch: Pass) -> Layers:
        matrices = [W[:, :-1] for W in batch.weights[1:]]
        slopes = [1 - a * a for a in batch.activations[1:]]
        metric = unitwise.backpropagated_weights(matrices, slopes, batch.mean, "bernoulli")
        return list(state.precondition(batch.grads, batch.activations, metric))

    return direction


def relative(count: int, damping: float) -> Direction:
    """Relative natural gradient of so many layers, the last with Bernoulli outputs."""
    kinds = ["tanh"] * (count - 1) + ["sigmoid"]
    state = RelativeNaturalGradient(kinds, damping=damping, decay=DECAY, period=PERIOD)
    return lambda batch: state.precondition(batch.grads, batch.activations, batch.scores)
