"""Two natural gradients of low rank over our kernels: TONGA, and the online natural gradient of Kaldi.

Both put their direction in the place of the gradient in SGD with momentum 0.9, which stays as it is.
"""

from __future__ import annotations

import numpy as np

import curvblas as cb
from curvblas.examples.first_order import FirstOrder, Momentum, mean_gradient
from curvblas.examples.network import Array, Layers, backward, forward
from curvblas.examples.outputs import Output


class Tonga(FirstOrder):
    """TONGA of Le Roux, Manzagol and Bengio 2007, a block for the weights of every neuron [section 4].

    Parameters
    ----------
    weights : list of float32 arrays, shapes (q, p)
        Starting point, bias in the last column. Not modified.
    output : Output
    rate : float > 0
    damping : float > 0
        In the unit of squared gradients of minibatches, summed over 200 of them.
    """

    def __init__(self, weights: Layers, output: Output, rate: float, damping: float) -> None:
        super().__init__(Momentum(weights, rate), output)
        neurons = [W.shape[1] for W in weights for _ in W]
        # A mean of squares instead of their sum: while the memory fills up, a sum would make the steps ever shorter.
        self._method = cb.TONGA(sum(neurons), blocks=neurons, damping=damping, renormalize=True)

    def direction(self, inputs: Array, targets: Array) -> Layers:
        """Return the natural gradient of the minibatch.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])

        Returns
        -------
        list of arrays, shapes (q, p)
        """
        V = mean_gradient(self.weights, self.output, inputs, targets)
        v = self._method.step(np.concatenate([layer.ravel() for layer in V]))
        ends = np.cumsum([layer.size for layer in V])[:-1]
        return [part.reshape(layer.shape) for part, layer in zip(np.split(v, ends), V, strict=True)]


class Kaldi(FirstOrder):
    """NG-SGD of Povey, Zhang and Khudanpur 2015: rows of inputs and of derivatives, each times its own inverse.

    Parameters
    ----------
    weights : list of float32 arrays, shapes (q, p)
        Starting point, bias in the last column. Not modified.
    output : Output
    rate : float > 0
        In the unit of SGD's: the method keeps the norm of what it preconditions.
    alpha : float > 0
        Smoothing of the estimates towards the identity.
    """

    def __init__(self, weights: Layers, output: Output, rate: float, alpha: float) -> None:
        super().__init__(Momentum(weights, rate), output)
        dims = [W.shape[1] for W in weights] + [W.shape[0] for W in weights]
        # Ranks as in Kaldi's recipes: at most 20 for inputs and 80 for outputs, and half of what there is.
        most = [20] * len(weights) + [80] * len(weights)
        ranks = [min(rank, (dim + 1) // 2) for rank, dim in zip(most, dims, strict=True)]
        self._method = cb.OnlineNaturalGradient(dims, rank=ranks, alpha=alpha)

    def direction(self, inputs: Array, targets: Array) -> Layers:
        """Return the mean over the minibatch of ``g_hat [a, 1]_hat^T``, layer by layer.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])

        Returns
        -------
        list of arrays, shapes (q, p)
        """
        activations, natural = forward(self.weights, inputs)
        g = backward(self.weights, activations, self.output.mean(natural) - targets)
        ones = np.ones((len(inputs), 1), inputs.dtype)
        # All sides of all layers in one call.
        rows = self._method.precondition([np.hstack([a, ones]) for a in activations] + g)
        count = len(activations)
        return [g_hat.T @ a_hat / len(inputs) for a_hat, g_hat in zip(rows[:count], rows[count:], strict=True)]
