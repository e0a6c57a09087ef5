"""Identities of DiCE."""

import numpy as np

from curvblas.methods import dice

from oracle import relative_error
from oracle.methods_dice import Choices


def estimate(
    process: Choices, theta: np.ndarray, discount: float, **options: object
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the expectations of the value, the gradient and the Hessian that the weights give, path by path."""
    values, scores, curvatures = process.log_probs(theta)
    rewards, reward_scores, reward_curvatures = process.rewards(theta)
    p, falling = process.probabilities(theta), discount ** np.arange(process.steps)
    weights = dice.dice_weights(values.T, rewards.T, discount, **options)
    gradient = np.einsum("b,tb,bti->i", p, weights.gradient, scores)
    gradient += np.einsum("b,t,bti->i", p, falling, reward_scores)
    columns = []
    for v in np.eye(2):
        seen = weights.hessian_product((scores @ v).T, (reward_scores @ v).T)
        column = np.einsum("b,tb,bti->i", p, seen.log_probs, scores)
        column += np.einsum("b,tb,bti->i", p, weights.gradient, curvatures @ v)
        column += np.einsum("b,tb,bti->i", p, seen.rewards, reward_scores)
        columns.append(column + np.einsum("b,t,bti->i", p, falling, reward_curvatures @ v))
    return float(p @ weights.objective), gradient, np.stack(columns, axis=1)


def expected_gradient() -> float:
    """Mean over all paths of the gradient from returns to go == gradient of the enumerated expectation."""
    process, theta = Choices(3, is_direct=True), np.array([0.4, -0.7])
    return relative_error(estimate(process, theta, 0.9)[1], process.expectation(theta, 0.9)[1])


def expected_hessian() -> float:
    """Mean over all paths of Hessian-vector products with the weights == Hessian of the enumerated expectation."""
    process, theta = Choices(3, is_direct=True), np.array([0.4, -0.7])
    return relative_error(estimate(process, theta, 0.9)[2], process.expectation(theta, 0.9)[2])


def expected_hessian_with_baseline() -> float:
    """The same with a baseline of order 2 == Hessian of the enumerated expectation."""
    process, theta = Choices(3), np.array([0.4, -0.7])
    baseline = np.concatenate([np.zeros((1, 8)), 0.3 + process.paths.T[:-1]])  # of earlier choices only
    found = estimate(process, theta, 0.9, baseline=baseline, order=2)[2]
    return relative_error(found, process.expectation(theta, 0.9)[2])


def curvature_of_divergence() -> float:
    """DiCE Hessian of the expectation of log p - log q under p, where p = q == Fisher matrix of p."""
    z = np.random.default_rng(7).standard_normal(6)
    p = np.exp(z) / np.exp(z).sum()
    fisher, scores = np.diag(p) - np.outer(p, p), np.eye(6) - p
    weights = dice.dice_weights(np.log(p)[None], np.zeros((1, 6)))
    columns = []
    for v in np.eye(6):
        tangents = (scores @ v)[None]
        seen = weights.hessian_product(tangents, tangents)
        columns.append(p @ ((seen.log_probs + seen.rewards).T * scores) - fisher @ v)
    return relative_error(np.stack(columns), fisher)


IDENTITIES = [
    (expected_gradient, 1e-14),
    (expected_hessian, 1e-14),
    (expected_hessian_with_baseline, 1e-14),
    (curvature_of_divergence, 1e-14),
]
