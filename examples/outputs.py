"""Output distributions: a loss in nats, the mean, samples from the model and a root of the Fisher matrix.

Each is an exponential family ``p(y | f)`` in its natural parameters f: the derivative of a case's loss is
``mean(f) - y``, and the Fisher matrix of f is the Hessian of the loss: natural gradient and generalised
Gauss-Newton agree (Martens 2014, "New insights and perspectives on the natural gradient method", section 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curvblas.examples.network import Array


@dataclass(frozen=True)
class Output:
    """What an optimiser needs to know about ``p(y | f)``: four pure functions of arrays, one row a case.

    Attributes
    ----------
    losses : (f, y) -> array, shape (N,)
        ``-log p(y | f)`` of every case, up to a term that depends on y alone; f and y are (N, o).
    mean : f -> array, shape (N, o)
        Expectation of y under the model.
    sample : (mean, rng) -> array, shape (N, o)
        Targets drawn from the model itself.
    fisher_root : (mean, t) -> array, shape (N, o)
        ``B^T t`` for every row of t (N, o), where ``B B^T`` is the Fisher matrix of that case's f.
    """

    losses: Callable[[Array, Array], Array]
    mean: Callable[[Array], Array]
    sample: Callable[[Array, np.random.Generator], Array]
    fisher_root: Callable[[Array, Array], Array]


def _bernoulli_losses(f: Array, y: Array) -> Array:
    softplus = np.maximum(f, 0) + np.log1p(np.exp(-np.abs(f)))
    return np.asarray((softplus - y * f).sum(axis=1))


def _bernoulli_mean(f: Array) -> Array:
    # The logistic function, through tanh because that cannot overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * f))


def _bernoulli_sample(mean: Array, rng: np.random.Generator) -> Array:
    return (rng.random(mean.shape, np.float32) < mean).astype(mean.dtype)


def _bernoulli_fisher_root(mean: Array, t: Array) -> Array:
    return np.asarray(t * np.sqrt(mean * (1 - mean)))


def _softmax_losses(f: Array, y: Array) -> Array:
    shifted = f - f.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - (y * shifted).sum(axis=1))


def _softmax_mean(f: Array) -> Array:
    odds = np.exp(f - f.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _softmax_sample(mean: Array, rng: np.random.Generator) -> Array:
    thresholds = np.cumsum(mean, axis=1)
    # Scaled by the last threshold, which rounding leaves a little off 1, so that a class is always found.
    uniform = rng.random((len(mean), 1)) * thresholds[:, -1:]
    classes = (uniform < thresholds).argmax(axis=1)
    return np.asarray(np.eye(mean.shape[1], dtype=mean.dtype)[classes])


def _softmax_fisher_root(mean: Array, t: Array) -> Array:
    # B = diag(sqrt p) - p sqrt(p)^T satisfies B B^T = diag p - p p^T.
    return np.asarray((t - (t * mean).sum(axis=1, keepdims=True)) * np.sqrt(mean))


def _gaussian_losses(f: Array, y: Array) -> Array:
    return np.asarray(0.5 * np.square(f - y).sum(axis=1))


def _gaussian_sample(mean: Array, rng: np.random.Generator) -> Array:
    return mean + rng.standard_normal(mean.shape, np.float32)


BERNOULLI = Output(_bernoulli_losses, _bernoulli_mean, _bernoulli_sample, _bernoulli_fisher_root)
"""Independent pixels in [0, 1] with cross-entropy loss, summed over the pixels; f are log-odds."""

SOFTMAX = Output(_softmax_losses, _softmax_mean, _softmax_sample, _softmax_fisher_root)
"""One of o classes with cross-entropy loss; y are one-hot rows."""

GAUSSIAN = Output(_gaussian_losses, lambda f: f, _gaussian_sample, lambda mean, t: t)
"""Real outputs of variance 1; the loss is half the squared error and the Fisher matrix the identity."""
