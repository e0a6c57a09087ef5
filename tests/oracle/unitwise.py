"""Metrics of units and their quasi-diagonal reduction (Ollivier 2015)."""

import numpy as np

from oracle.kronecker import symmetric


def _rows_and_weights(rows, weights, bias):
    R, W = np.asarray(rows, np.float64), np.asarray(weights, np.float64)
    cases = int(np.prod(R.shape[:-1]))
    R, W = R.reshape(cases, R.shape[-1]), W.reshape(cases, W.shape[-1])
    return np.concatenate([R, np.ones((len(R), 1))], axis=1) if bias else R, W


def update_unit_moments(moments, rows, weights, *, decay=0.95, scale=None, bias=False):
    """decay M_k + scale sum_n w_nk r_n r_n^T."""
    N = len(rows)
    if scale is None:
        scale = (1 - decay) / N if N else 0.0
    R, W = _rows_and_weights(rows, weights, bias)
    sums = [(R.T * w) @ R for w in W.T]
    return np.array([decay * symmetric(M) + scale * s for M, s in zip(moments, sums, strict=True)]).reshape(
        np.shape(moments)
    )


def accumulate_quasi_diagonal(first_moments, second_moments, rows, weights, *, decay=0.95, scale=None):
    """The last columns and the diagonals of the moments of units, with a bias."""
    N = len(rows)
    if scale is None:
        scale = (1 - decay) / N if N else 0.0
    R, W = _rows_and_weights(rows, weights, True)
    first = decay * np.float64(first_moments) + scale * W.T @ R
    return first, decay * np.float64(second_moments) + scale * W.T @ R**2


def solve_quasi_diagonal(first_moments, second_moments, grads, damping=0.0):
    """(g_i M_00 - g_0 M_0i) / (M_ii M_00 - M_0i^2), and the bias; no floor, no dead units."""
    first, second, g = np.float64(first_moments), np.float64(second_moments), np.float64(grads)
    M_00, M_0i, M_ii = first[:, -1:] + damping, first[:, :-1], second[:, :-1] + damping
    w = (g[:, :-1] * M_00 - g[:, -1:] * M_0i) / (M_ii * M_00 - M_0i**2)
    w_0 = (g[:, -1:] - (M_0i * w).sum(axis=1, keepdims=True)) / M_00
    return np.concatenate([w, w_0], axis=1)
