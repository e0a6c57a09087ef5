"""Identities of natural Q-learning."""

import numpy as np

from curvblas.methods import natural_q

from identities import largest


def three_solvers() -> float:
    """Woodbury == conjugate gradients == explicit matrix, for fewer and for more rows than parameters."""
    rng, worst = np.random.default_rng(13), 0.0
    for n, P in ((6, 40), (40, 6), (20, 20)):
        J, e = rng.standard_normal((n, P)), rng.standard_normal(n)
        expected = np.linalg.solve(J.T @ J / n + 0.1 * np.eye(P), J.T @ e / n)
        for method in natural_q.METHODS:
            found = natural_q.natural_q_step(J, e, 0.1, method=method).update
            worst = largest(worst, np.linalg.norm(found - expected) / np.linalg.norm(expected))
    return worst


def means_of_targets() -> float:
    """Table of values, no damping, rate 1: each visited entry after the step == the mean of its targets."""
    rng = np.random.default_rng(13)
    table, visits, targets = rng.standard_normal(12), rng.integers(0, 8, 60), rng.standard_normal(60)
    step = natural_q.natural_q_step(np.eye(12)[visits], targets - table[visits], 0.0)
    expected = [targets[visits == k].mean() if (visits == k).any() else table[k] for k in range(12)]
    return float(np.linalg.norm(table + step.update - expected) / np.linalg.norm(expected))


IDENTITIES = [(three_solvers, 5e-13), (means_of_targets, 5e-14)]
