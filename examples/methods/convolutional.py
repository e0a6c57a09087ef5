"""A convolutional network as pure functions: what layers see, derivatives of the cases' losses, gradients.

Layers are those of `curvblas.methods.kfac`; weights are matrices (q, p) with the bias in the last column, kernels
flattened. Units of all layers but the last are ``tanh(s)``. Images that come to a dense layer are flattened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from curvblas.examples.network import Array, Layers
from curvblas.methods.kfac import Conv, Layer

Net = Sequence[Conv | Layer]


def initial_weights(net: Net, rng: np.random.Generator) -> Layers:
    """Draw weights with unit gain for tanh, and zero biases.

    Parameters
    ----------
    net : sequence of Conv or Layer
    rng : numpy.random.Generator

    Returns
    -------
    list of float32 arrays, shapes (q, p)
    """
    layers = []
    for layer in net:
        q, p = layer.shape
        W = np.zeros((q, p), np.float32)
        W[:, :-1] = rng.standard_normal((q, p - 1)) / np.sqrt(p - 1)
        layers.append(W)
    return layers


def forward(net: Net, weights: Layers, images: Array) -> tuple[Layers, Array]:
    """Evaluate the network.

    Parameters
    ----------
    net : sequence of Conv or Layer
    weights : list of arrays, shapes (q, p)
    images : array, shape (N, channels, height, width)

    Returns
    -------
    inputs : list of arrays
        Of every layer: (N, channels, height, width), or (N, d).
    outputs : array
        Of the last layer, as it is.
    """
    inputs: Layers = []
    x = images
    for k, (layer, W) in enumerate(zip(net, weights, strict=True)):
        x = np.tanh(x) if k else x
        if isinstance(layer, Layer):
            x = x.reshape(len(x), -1)
        inputs.append(x)
        rows = layer.patches(x) if isinstance(layer, Conv) else x
        s = rows @ W[:, :-1].T + W[:, -1]
        x = s.swapaxes(1, 2).reshape(layer.shapes(x.shape)[1]) if isinstance(layer, Conv) else s
    return inputs, x


def backward(net: Net, weights: Layers, inputs: Layers, output_derivatives: Array) -> Layers:
    """Propagate derivatives of each case's own loss from the outputs to those of every layer.

    Parameters
    ----------
    net, weights, inputs
        As given to and returned by `forward`.
    output_derivatives : array like the outputs

    Returns
    -------
    list of arrays
        Shapes (N, q), or (N, out_channels, height, width).
    """
    g = [output_derivatives]
    for layer, W, x, below in zip(net[:0:-1], weights[:0:-1], inputs[:0:-1], net[-2::-1], strict=True):
        slopes = _by_images(layer, W, x, g[-1]) if isinstance(layer, Conv) else g[-1] @ W[:, :-1]
        slopes = slopes * (1 - x**2)
        channels = below.shape[0]
        g.append(slopes.reshape(len(x), channels, *_square(slopes, channels)) if isinstance(below, Conv) else slopes)
    return g[::-1]


def _square(slopes: Array, channels: int) -> tuple[int, ...]:
    side = math.isqrt(slopes[0].size // channels)
    return side, side


def _by_images(layer: Conv, W: Array, x: Array, g: Array) -> Array:
    # The transposed convolution: every kernel offset adds its share to the padded images.
    N, q, height, width = g.shape
    (kh, kw), (step, _), (pad, _) = layer.kernel_size, layer.each("stride"), layer.each("padding")
    rows = g.reshape(N, q, -1).swapaxes(1, 2) @ W[:, :-1]
    shares = rows.reshape(N, height, width, layer.channels, kh, kw)
    padded = np.zeros((N, layer.channels, x.shape[2] + 2 * pad, x.shape[3] + 2 * pad), x.dtype)
    for i in range(kh):
        for j in range(kw):
            at = padded[:, :, i : i + step * height : step, j : j + step * width : step]
            at += np.moveaxis(shares[..., i, j], 3, 1)
    return padded[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]


def gradients(net: Net, inputs: Layers, g: Layers) -> Layers:
    """Gradient of the mean loss.

    Parameters
    ----------
    net : sequence of Conv or Layer
    inputs, g : lists of arrays
        From `forward` and `backward`.

    Returns
    -------
    list of arrays, shapes (q, p)
    """
    result = []
    for layer, x, derivatives in zip(net, inputs, g, strict=True):
        N, q = derivatives.shape[:2]
        rows = layer.patches(x) if isinstance(layer, Conv) else x
        rows, flat = rows.reshape(-1, rows.shape[-1]), np.moveaxis(derivatives, 1, -1).reshape(-1, q)
        result.append(np.append(flat.T @ rows, flat.sum(axis=0)[:, None], axis=1) / np.float32(N))
    return result
