"""Symmetric matrices, and what makes a basis an eigenbasis."""

import numpy as np

from curvblas import Status

import oracle


def symmetric(rng, n, dtype):
    X = rng.standard_normal((n, n))
    return ((X + X.T) / 2).astype(dtype)


def with_spectrum(rng, values, dtype=np.float64):
    Q = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    return ((Q * np.asarray(values)) @ Q.T).astype(dtype)


def errors(C, basis):
    """Residual and departure from orthonormality in float64, of one matrix."""
    A, V, w = oracle.symmetric(C), np.float64(basis.vectors), np.float64(basis.values)
    size = np.linalg.norm(A)
    return np.linalg.norm(A @ V - V * w) / (size or 1), np.linalg.norm(V.T @ V - np.eye(len(A)))


def assert_is_eigenbasis(C, basis, slack=1.0):
    residual, departure = errors(C, basis)
    n, eps = len(C), np.finfo(C.dtype).eps
    assert basis.status == Status.OK
    assert residual <= slack * 10 * np.sqrt(n + 1) * eps
    assert departure <= slack * 10 * (n + 1) * eps
    assert (np.diff(basis.values) >= 0).all()
    if n:
        assert (np.take_along_axis(basis.vectors, np.abs(basis.vectors).argmax(0)[None], 0) > 0).all()
    assert basis.residual <= 20 * np.sqrt(n) * max(residual, eps)
    assert basis.residual >= residual / 20 - 2 * eps
