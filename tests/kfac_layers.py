"""Layers of K-FAC with minibatches, for its tests."""

import numpy as np

from curvblas.methods.kfac import Conv, Layer

import oracle
from oracle import methods_kfac

DAMPING = 0.05
N, T = 6, 5  # cases, and positions of those that have them
LAYERS = [
    Layer(3, 4),
    Layer(2, 5, bias=False),
    Layer(3, 2, sharing="expand"),
    Conv(3, 2, (2, 2), stride=(1, 2), padding=1),
    Conv(2, 1, (3,), bias=False, dilation=2),
]
RECURRENT = Layer(3, 4, sharing="recurrent")


def put(on, arrays):
    return [on.to_device(x) for x in arrays] if hasattr(on, "to_device") else list(arrays)


def fetched(on, arrays):
    return [on.to_host(x) for x in arrays] if hasattr(on, "to_host") else list(arrays)


def rows_of(rng, layer, dtype=np.float64):
    """Inputs and derivatives of a layer."""
    if not isinstance(layer, Conv):
        leading = (N,) if layer.sharing == "none" else (N, T)
        shapes = (*leading, layer.in_features), (*leading, layer.out_features)
    else:
        shapes = layer.shapes((N, layer.channels, *(6, 7)[: len(layer.kernel_size)]))
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def batch(rng, layers, dtype=np.float64):
    """Gradients, inputs and derivatives of all layers."""
    a, g = zip(*(rows_of(rng, layer, dtype) for layer in layers), strict=True)
    return [rng.standard_normal(layer.shape).astype(dtype) for layer in layers], list(a), list(g)


def factors_of(layer, a, g):
    """A and G of one minibatch, by the scales that make G (x) A the Fisher matrix."""
    a, g = np.float64(a), np.float64(g)
    if isinstance(layer, Conv):
        sizes = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
        a, g = oracle.patches(a, layer.kernel_size, **sizes), g.reshape(*g.shape[:2], -1).swapaxes(1, 2)
    if not isinstance(layer, Conv) and layer.sharing == "reduce":
        a, g = a.mean(1), g.sum(1)
    x = methods_kfac.with_ones(a) if layer.bias else a
    x, y = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    return x.T @ x / len(a), y.T @ y / len(y)
