"""Identities of Kalman filters and online natural gradients."""

import numpy as np

from curvblas.methods import kalman

from identities import largest
from oracle.methods_kalman import OnlineNaturalGradient, draw_target

OUTPUTS = 3


def _network(theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return natural parameters tanh(W x) of three outputs, and their Jacobian: not linear in theta."""
    f = np.tanh(theta.reshape(OUTPUTS, -1) @ x)
    return f, np.kron(np.diag(1 - f * f), x)


def _worst(family: str, fading: float, rate: object, covariance_factor: float) -> float:
    rng, worst = np.random.default_rng(11), 0.0
    J = np.diag(rng.uniform(1, 3, 12))
    theta, truth = 0.1 * rng.standard_normal(12), rng.standard_normal(12)
    direct = theta
    method = kalman.ExponentialFamilyFilter(
        family, 12, covariance=covariance_factor * np.linalg.inv(J), fading=fading, variance=0.7
    )
    average = OnlineNaturalGradient(family, J, rate, variance=0.7)
    for _ in range(50):
        x = rng.standard_normal(4)
        target, statistics = draw_target(family, _network(truth, x)[0], rng)
        f, jacobian = _network(theta, x)
        theta = theta + method.step(jacobian, f, np.asarray(target))
        f, jacobian = _network(direct, x)
        direct = direct + average.step(jacobian, f, statistics)
        worst = largest(worst, np.linalg.norm(theta - direct) / np.linalg.norm(direct))
    return worst


def filter_is_natural_gradient() -> float:
    """Extended Kalman filter, all four families == online natural gradient with the rates 1 / (t + 1)."""
    return largest(*(_worst(family, 0.0, lambda t: 1 / (t + 1), 1.0) for family in kalman.FAMILIES))


def fading_is_a_constant_rate() -> float:
    """Filter with fading memory, from covariance fading J_0^-1 == natural gradient with the constant rate fading."""
    return largest(*(_worst(family, 0.04, lambda t: 0.04, 0.04) for family in kalman.FAMILIES))


def linear_gaussian_is_ridge() -> float:
    """One pass over a linear Gaussian model == ridge regression with the inverse of the first covariance."""
    rng = np.random.default_rng(11)
    X, y, ridge, theta = (
        rng.standard_normal((40, 7)),
        rng.standard_normal(40),
        np.diag(rng.uniform(1, 3, 7)),
        np.zeros(7),
    )
    method = kalman.ExponentialFamilyFilter("gaussian", 7, covariance=np.linalg.inv(ridge), variance=0.3)
    for x, target in zip(X, y, strict=True):
        theta = theta + method.step(x[None], x[None] @ theta, np.array([target]))
    expected = np.linalg.solve(X.T @ X / 0.3 + ridge, X.T @ y / 0.3)
    return float(np.linalg.norm(theta - expected) / np.linalg.norm(expected))


IDENTITIES = [
    (filter_is_natural_gradient, 1e-14),
    (fading_is_a_constant_rate, 1e-14),
    (linear_gaussian_is_ridge, 2e-14),
]
