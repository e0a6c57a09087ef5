"""Identities of relative Fisher metrics."""

import numpy as np

from curvblas.methods import relative_fisher

from oracle.methods_relative_fisher import divergence, softmax_divergence, softmax_fisher

T = np.linspace(-4, 4, 33)  # 0 among them
SHAPES = {"leak": 0.1, "width": 0.7, "alpha": 1.3}


def _curvature(kind: str, h: float = 4e-3, **shapes: float) -> float:
    """Return how far nu is from the second derivative of the divergence of outputs, by fourth-order differences."""
    t = T if kind != "elu" else T[np.abs(T) > 0.1]  # it has a bend at 0

    def second(h: float) -> np.ndarray:
        return np.asarray((divergence(kind, t, t + h, **shapes) + divergence(kind, t, t - h, **shapes)) / h**2)

    expected = (4 * second(h) - second(2 * h)) / 3
    found = relative_fisher.neuron_information(kind, t, **shapes)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def linear_neuron() -> float:
    """nu of a linear neuron == second derivative of the divergence of its outputs."""
    return _curvature("linear", **SHAPES)


def tanh_neuron() -> float:
    """nu of a tanh neuron == second derivative of the divergence of its outputs."""
    return _curvature("tanh", **SHAPES)


def sigmoid_neuron() -> float:
    """nu of a sigmoid neuron == second derivative of the divergence of its outputs."""
    return _curvature("sigmoid", **SHAPES)


def relu_neuron() -> float:
    """nu of a smoothed ReLU == second derivative of the divergence of its outputs."""
    return _curvature("relu", **SHAPES)


def elu_neuron() -> float:
    """nu of an ELU == second derivative of the divergence of its outputs."""
    return _curvature("elu", **SHAPES)


def relu_limit() -> float:
    """nu of a smoothed ReLU whose width tends to 0 == nu of the ReLU."""
    t = T[np.abs(T) > 0.1]
    narrow = relative_fisher.neuron_information("relu", t, leak=0.1, width=1e-3)
    return float(np.abs(narrow - relative_fisher.neuron_information("relu", t, leak=0.1)).max())


def _softmax_layer() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x, W = rng.standard_normal((8, 3)), rng.standard_normal((4, 4))
    odds = np.exp(x @ W[:, :-1].T + W[:, -1])
    return x, W, odds / odds.sum(axis=1, keepdims=True)


def softmax_layer() -> float:
    """Relative metric of a softmax layer == Fisher matrix of softmax regression, by enumeration of the classes."""
    x, _, eta = _softmax_layer()
    found, expected = relative_fisher.softmax_information(x, eta), softmax_fisher(x, eta)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def softmax_layer_divergence() -> float:
    """Quadratic form of the softmax metric == second derivative of the divergence along a direction."""
    x, W, eta = _softmax_layer()
    v, h = np.random.default_rng(6).standard_normal(W.shape), 1e-3

    def second(h: float) -> float:
        return (softmax_divergence(W, W + h * v, x) + softmax_divergence(W, W - h * v, x)) / h**2

    expected = (4 * second(h) - second(2 * h)) / 3
    found = v.ravel() @ relative_fisher.softmax_information(x, eta) @ v.ravel()
    return float(abs(found - expected) / expected)


def softmax_null_space() -> float:
    """Softmax metric times one vector added to all rows of the weights == 0."""
    x, W, eta = _softmax_layer()
    C = relative_fisher.softmax_information(x, eta)
    shared = np.tile(np.random.default_rng(6).standard_normal(W.shape[1]), len(W))
    return float(np.linalg.norm(C @ shared) / np.linalg.norm(C) / np.linalg.norm(shared))


IDENTITIES = [
    (linear_neuron, 1e-9),
    (tanh_neuron, 1e-9),
    (sigmoid_neuron, 1e-9),
    (relu_neuron, 1e-9),
    (elu_neuron, 1e-9),
    (relu_limit, 1e-15),
    (softmax_layer, 1e-14),
    (softmax_layer_divergence, 1e-8),
    (softmax_null_space, 1e-15),
]
