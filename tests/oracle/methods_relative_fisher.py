"""Output distributions of the parts of a network: their divergences, and a Fisher matrix by enumeration."""

import numpy as np


def _bernoulli(p, p_other):
    return p * np.log(p / p_other) + (1 - p) * np.log((1 - p) / (1 - p_other))


def _mean(kind, t, leak, width, alpha):
    if kind == "linear":
        return t
    if kind == "relu":
        return width * np.logaddexp(leak * t / width, t / width)
    return np.where(t >= 0, t, alpha * np.expm1(t))


def divergence(kind, t, t_other, *, leak, width, alpha):
    """KL(p(y | t) || p(y | t_other)) of a neuron's output."""
    if kind in ("tanh", "sigmoid"):  # -1 or 1 with mean tanh t: log-odds 2 t
        slope = 2 if kind == "tanh" else 1
        return _bernoulli(*(1 / (1 + np.exp(-slope * x)) for x in (t, t_other)))
    return np.square(_mean(kind, t, leak, width, alpha) - _mean(kind, t_other, leak, width, alpha)) / 2


def softmax_divergence(W, W_other, x):
    """The mean over inputs of KL(p(y | x, W) || p(y | x, W_other))."""

    def log_probs(W):
        scores = x @ W[:, :-1].T + W[:, -1]
        return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)

    found, other = log_probs(W), log_probs(W_other)
    return float((np.exp(found) * (found - other)).sum(axis=1).mean())


def softmax_fisher(x, eta):
    """E_n sum_y eta_y s s^T with the score s of each class as a gradient of the weights, row by row."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    q = eta.shape[1]
    total = np.zeros((q * x.shape[1],) * 2)
    for y in range(q):
        scores = ((np.eye(q)[y] - eta)[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        total += (scores * eta[:, y : y + 1]).T @ scores / len(x)
    return total
