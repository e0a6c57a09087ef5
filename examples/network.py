"""A multilayer perceptron as pure functions: values, derivatives, gradients and directional derivatives.

Notation of Martens and Grosse 2015: a layer maps its input ``a`` (N, p - 1) to
``s = a W[:, :-1]^T + W[:, -1]`` (N, q). ``W`` is (q, p); its last column is the bias, the weight of the
homogeneous coordinate 1. Hidden units are ``tanh(s)``; the last ``s`` are the natural parameters of a
distribution from `outputs`.
Every function works in the dtype of its arguments, so that tests can check derivatives in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Layers: TypeAlias = list[Array]
"""One array per layer: weights, gradients, directions, factors."""


def initial_weights(sizes: Sequence[int], rng: np.random.Generator) -> Layers:
    """Draw weights with unit gain for tanh, and zero biases (Glorot and Bengio 2010, section 4.2.1).

    Parameters
    ----------
    sizes : sequence of int
        Number of inputs, of units in each hidden layer, of outputs.
    rng : numpy.random.Generator

    Returns
    -------
    list of float32 arrays, shapes (q, p)
        With p = fan-in + 1.
    """
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        bound = np.sqrt(6.0 / (fan_in + fan_out))
        W = np.zeros((fan_out, fan_in + 1), np.float32)
        W[:, :-1] = rng.uniform(-bound, bound, (fan_out, fan_in))
        layers.append(W)
    return layers


def forward(weights: Layers, inputs: Array) -> tuple[Layers, Array]:
    """Evaluate the network.

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    inputs : array, shape (N, sizes[0])

    Returns
    -------
    activations : list of arrays, shapes (N, p - 1)
        The input of every layer, without the homogeneous coordinate; the first is ``inputs`` itself.
    natural : array, shape (N, sizes[-1])
        The natural parameters of the output distribution ("logits").
    """
    activations = [inputs]
    for W in weights[:-1]:
        s = _affine(W, activations[-1])
        activations.append(np.tanh(s, out=s))
    return activations, _affine(weights[-1], activations[-1])


def _affine(W: Array, a: Array) -> Array:
    s: Array = a @ W[:, :-1].T
    s += W[:, -1]
    return s


def backward(weights: Layers, activations: Layers, output_derivatives: Array) -> Layers:
    """Propagate per-case derivatives from the natural parameters to the pre-activations of every layer.

    Parameters
    ----------
    weights, activations
        As given to and returned by `forward`.
    output_derivatives : array, shape (N, sizes[-1])
        Derivative of each case's own loss (not of the mean loss) with respect to its natural parameters.

    Returns
    -------
    list of arrays, shapes (N, q)
        The rows ``g`` of Martens and Grosse 2015, one list entry per layer.
    """
    g = [output_derivatives]
    for W, a in zip(weights[:0:-1], activations[:0:-1], strict=True):
        g.append((g[-1] @ W[:, :-1]) * (1 - a * a))
    return g[::-1]


def gradients(activations: Layers, g: Layers) -> Layers:
    """Gradient of the mean loss, ``V = g^T [a, 1] / N``, from the rows that `forward` and `backward` return.

    Parameters
    ----------
    activations : list of arrays, shapes (N, p - 1)
    g : list of arrays, shapes (N, q)

    Returns
    -------
    list of arrays, shapes (q, p)
    """
    result = []
    for a, derivatives in zip(activations, g, strict=True):
        V = np.empty((derivatives.shape[1], a.shape[1] + 1), a.dtype)
        np.matmul(derivatives.T, a, out=V[:, :-1])
        np.sum(derivatives, axis=0, out=V[:, -1])
        V /= len(a)
        result.append(V)
    return result


def directional_derivative(weights: Layers, activations: Layers, direction: Layers) -> Array:
    """Differentiate the natural parameters along a direction in weight space: ``J v``, by forward mode.

    Parameters
    ----------
    weights, activations
        As given to and returned by `forward`.
    direction : list of arrays, shapes (q, p)

    Returns
    -------
    array, shape (N, sizes[-1])
        ``d/dt natural(weights + t direction)`` at t = 0; about the cost of two calls of `forward`.
    """
    tangent = _affine(direction[0], activations[0])
    for W, a, V in zip(weights[1:], activations[1:], direction[1:], strict=True):
        tangent *= 1 - a * a
        tangent = tangent @ W[:, :-1].T
        tangent += _affine(V, a)
    return tangent


def inner(U: Layers, V: Layers) -> float:
    """Add up the elementwise products of two lists of arrays.

    Parameters
    ----------
    U, V : lists of arrays, equal shapes

    Returns
    -------
    float
    """
    return float(sum(np.vdot(u, v) for u, v in zip(U, V, strict=True)))
