"""Identities of sub-sampled Newton methods."""

import numpy as np

from curvblas.methods import newton
from curvblas.methods import subsampled_newton as ssn

from identities import largest
from oracle import relative_error
from oracle.methods_subsampled_newton import FAMILIES, fisher, gradient, regression

RIDGE = 0.01


def _model(family: str) -> tuple[ssn.GeneralizedLinearModel, np.ndarray, np.ndarray, np.ndarray]:
    X, y, weights = regression(np.random.default_rng(8), family)
    return ssn.GeneralizedLinearModel(X, y, family, ridge=RIDGE, weights=weights), X, y, weights


def full_sample_is_damped_newton() -> float:
    """Iterates with all cases, conjugate gradients to convergence == those of damped Newton, Cholesky."""
    worst = 0.0
    for family in FAMILIES:
        model, X, _, _ = _model(family)
        iterates: list[list[np.ndarray]] = [[], []]
        options = {"rtol": 1e-9, "max_iterations": 8}
        ssn.minimize_subsampled_newton(
            model,
            np.zeros(X.shape[1]),
            len(X),
            shift=0.1,
            inner_rtol=1e-15,
            callback=lambda r, kept=iterates[0]: kept.append(r.x),
            **options,
        )
        newton.minimize_newton(
            model.value_and_gradient,
            model.hessian,
            np.zeros(X.shape[1]),
            damping=0.1,
            callback=lambda r, kept=iterates[1]: kept.append(r.x),
            **options,
        )
        assert len(iterates[0]) == len(iterates[1]) >= 3
        worst = largest(worst, *map(relative_error, *iterates))
    return worst


def direction_is_the_natural_gradient() -> float:
    """Direction with all cases, canonical links == -(Fisher matrix over outcomes + ridge)^-1 gradient."""
    worst = 0.0
    for family in FAMILIES:
        model, X, y, weights = _model(family)
        w = np.random.default_rng(9).standard_normal(X.shape[1]) / 5
        found = ssn.subsampled_direction(model, w, model.value_and_gradient(w)[1], inner_rtol=1e-15)
        F = fisher(family, X, weights, w) + RIDGE * np.eye(len(w))
        expected = -np.linalg.solve(F, gradient(family, X, y, weights, w) + RIDGE * w)
        worst = largest(worst, relative_error(found.direction, expected))
    return worst


def least_squares_is_one_step() -> float:
    """One iteration with all cases on ridge regression == its solution."""
    model, X, y, weights = _model("least_squares")
    found = ssn.minimize_subsampled_newton(model, np.zeros(6), 1000, inner_rtol=1e-15, rtol=1e-30, max_iterations=1)
    expected = np.linalg.solve((X.T * weights) @ X / len(X) + RIDGE * np.eye(6), X.T @ (weights * y) / len(X))
    return relative_error(found.x, expected)


IDENTITIES = [
    (full_sample_is_damped_newton, 1e-14),
    (direction_is_the_natural_gradient, 1e-14),
    (least_squares_is_one_step, 1e-14),
]
