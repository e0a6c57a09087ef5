"""Identities of whitening."""

import numpy as np

from curvblas.methods import whitening

from identities import largest


def _logistic_gradient(X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return X.T @ (1 / (1 + np.exp(-X @ theta)) - y) / len(y)


def descent_in_natural_coordinates() -> float:
    """Gradient descent in natural coordinates, with both roots == natural gradient descent with the metric frozen."""
    rng, worst = np.random.default_rng(5), 0.0
    X, y = rng.standard_normal((60, 6)) @ rng.standard_normal((6, 6)), rng.random(60) < 0.4
    G, direct = X.T @ X / 240, rng.standard_normal(6)
    whites = [whitening.whiten(G, method=method) for method in ("cholesky", "symmetric")]
    phis = [white.to_natural(direct) for white in whites]
    for _ in range(100):
        direct = direct - 0.5 * np.linalg.solve(G, _logistic_gradient(X, y, direct))
        for k, white in enumerate(whites):
            gradient = _logistic_gradient(X, y, white.from_natural(phis[k]))
            phis[k] = phis[k] - 0.5 * white.gradient_to_natural(gradient)
            error = np.linalg.norm(white.from_natural(phis[k]) - direct) / np.linalg.norm(direct)
            worst = largest(worst, error)
    return worst


def two_dimensional_gaussian() -> float:
    """One step of rate 1 in natural coordinates, where the means are (3 a + b / 3, a / 3) == J^-1 mean(x)."""
    J = np.array([[3.0, 1 / 3], [1 / 3, 0.0]])
    x = np.random.default_rng(5).standard_normal((50, 2)) + np.array([4.0, -2.0])
    theta = np.array([1.5, -7.0])
    white, gradient = whitening.whiten(J.T @ J), -J.T @ (x.mean(axis=0) - J @ theta)
    found = white.from_natural(white.to_natural(theta) - white.gradient_to_natural(gradient))
    expected = np.linalg.solve(J, x.mean(axis=0))
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


IDENTITIES = [(descent_in_natural_coordinates, 2e-13), (two_dimensional_gaussian, 1e-13)]
