"""Fisher matrices of layers, dense, and what Kronecker-factored methods should make of gradients."""

import numpy as np

from oracle.kronecker import sample_gradients


def with_ones(a):
    """Append the input of the bias."""
    return np.concatenate([a, np.ones((*a.shape[:-1], 1))], axis=-1)


def fisher(rows, *, bias=True):
    """E[vec(grad) vec(grad)^T] of all layers together; rows are (a, g) of each layer, (N, ...)."""
    grads = [sample_gradients(a, g, bias=bias).reshape(len(a), -1) for a, g in rows]
    J = np.concatenate(grads, axis=1)
    return J.T @ J / len(J)


def solve_blocks(blocks, damping, grads):
    """(F_l + damping I)^-1 vec(V_l) for every layer."""
    pairs = zip(blocks, grads, strict=True)
    return [np.linalg.solve(F + damping * np.eye(V.size), V.ravel()).reshape(V.shape) for F, V in pairs]


def factored_step(A, G, damping, V):
    """G_inv V A_inv with the damping of Martens and Grosse 2015, section 6.3."""
    pi = np.sqrt(np.trace(A) / len(A) / (np.trace(G) / len(G)))
    G_damped = G + np.sqrt(damping) / pi * np.eye(len(G))
    A_damped = A + pi * np.sqrt(damping) * np.eye(len(A))
    return np.linalg.solve(G_damped, V) @ np.linalg.inv(A_damped)


def stationary_lags(C0, C1, T):
    """C_d = (C_1 C_0^-1)^d C_0, d = 0 ... T - 1: of a process x_{t+1} = M x_t + noise."""
    M = C1 @ np.linalg.inv(C0)
    return [np.linalg.matrix_power(M, d) @ C0 for d in range(T)]


def recurrent_fisher(A_lags, G_lags):
    """sum_{|d| < T} (T - |d|) G_d (x) A_d."""
    T = len(A_lags)
    total = T * np.kron(G_lags[0], A_lags[0])
    for d in range(1, T):
        once = np.kron(G_lags[d], A_lags[d])
        total += (T - d) * (once + once.T)
    return total


def dense_inverse(precondition, shapes):
    """The matrix that a function of lists of gradients applies."""
    ends = np.cumsum([q * p for q, p in shapes])
    columns = []
    for e in np.eye(ends[-1]):
        parts = [x.reshape(shape) for x, shape in zip(np.split(e, ends[:-1]), shapes, strict=True)]
        columns.append(np.concatenate([x.ravel() for x in precondition(parts)]))
    return np.array(columns).T
