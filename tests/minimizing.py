"""Functions to be minimised, which give value and gradient."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special


def rosenbrock(x):
    return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)


def start(n):
    return np.tile([-1.2, 1.0], n // 2)


def quadratic(rng, n, condition=10.0):
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    H, b = basis * np.geomspace(1, condition, n) @ basis.T, rng.standard_normal(n)
    return lambda x: (x @ H @ x / 2 - b @ x, H @ x - b), np.linalg.solve(H, b)


def double_well(x):
    """A chain: a saddle at 0, minima at all -1 and all 1, local ones where signs change."""
    rise = np.diff(x)
    gradient = x**3 - x
    gradient[1:] += rise
    gradient[:-1] -= rise
    return np.sum(x**4 / 4 - x**2 / 2) + rise @ rise / 2, gradient


def logistic(ridge):
    """Logistic regression of the breast-cancer data, standardised, with an intercept."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_breast_cancer(return_X_y=True)
    Z = np.where(y == 1, 1, -1)[:, None] * np.c_[(X - X.mean(0)) / X.std(0), np.ones(len(X))]

    def fun(w):
        margins = Z @ w
        return np.logaddexp(0, -margins).mean() + ridge * w @ w / 2, ridge * w - Z.T @ (
            scipy.special.expit(-margins) / len(Z)
        )

    return fun, np.zeros(Z.shape[1])
