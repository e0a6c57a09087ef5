"""Identities of TANGO."""

import numpy as np

from curvblas.methods import tango

from identities import largest


def averaged_sgd() -> float:
    """TANGO with the factors x of the Hessians x x^T == running average, with rates dt, of SGD with the rate gamma."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((200, 5)), rng.standard_normal(200)
    theta = average = fast = rng.standard_normal(5)
    gamma, method, worst = 0.08, tango.TANGO(5, gamma=0.08, dt=1.0), 0.0
    for t, (x, target) in enumerate(zip(X, y, strict=True)):
        method.dt = (t + 2) ** -0.7
        theta = theta + method.step((x @ theta - target) * x, x)
        fast = fast - gamma * (x @ fast - target) * x
        average = (1 - method.dt) * average + method.dt * fast
        worst = largest(worst, np.linalg.norm(theta - average) / np.linalg.norm(average))
    return worst


def limiting_direction() -> float:
    """Velocity, and update over -dt, where parameters rest == gamma (gamma (1 - dt) F + dt I)^-1 g."""
    rng = np.random.default_rng(3)
    pseudo, g, gamma, dt = rng.standard_normal((9, 6)), rng.standard_normal(6), 0.1, 0.02
    method = tango.TANGO(6, gamma=gamma, dt=dt)
    for _ in range(3000):
        update = method.step(g, pseudo)
    fisher = pseudo.T @ pseudo / 9
    expected = gamma * np.linalg.solve(gamma * (1 - dt) * fisher + dt * np.eye(6), g)
    return largest(*(np.linalg.norm(v - expected) / np.linalg.norm(expected) for v in (method.velocity, -update / dt)))


IDENTITIES = [(averaged_sgd, 5e-15), (limiting_direction, 1e-13)]
