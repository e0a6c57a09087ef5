"""Processes of few binary choices, enumerated: the expectation that DiCE estimates, and its derivatives."""

import itertools

import numpy as np


class Choices:
    """Binary choices whose probability depends on two parameters and on the choice before; rewards on all choices.

    ``p(a_t = 1) = sigmoid(theta_0 + theta_1 (2 a_{t-1} - 1))`` with ``a_{-1} = 1``. With ``is_direct``, rewards are
    multiplied by ``1 + theta_0 theta_1``.
    """

    def __init__(self, steps, is_direct=False):
        self.steps, self.is_direct = steps, is_direct
        self.paths = np.array(list(itertools.product([0, 1], repeat=steps)))  # (B, T)
        before = np.concatenate([np.ones((len(self.paths), 1)), self.paths[:, :-1]], axis=1)
        self.features = np.stack([np.ones(before.shape), 2 * before - 1], axis=-1)  # (B, T, 2)
        sums = np.cumsum(self.paths, axis=1)
        self.fixed = 1.5 * self.paths - 0.7 * sums + 0.4 * sums**2 + 0.3

    def log_probs(self, theta):
        """Return them, with their gradients and Hessians: (B, T), (B, T, 2), (B, T, 2, 2)."""
        z = self.features @ theta
        p = 1 / (1 + np.exp(-z))
        value = np.where(self.paths == 1, np.log(p), np.log(1 - p))
        outer = self.features[..., :, None] * self.features[..., None, :]
        return value, (self.paths - p)[..., None] * self.features, -(p * (1 - p))[..., None, None] * outer

    def rewards(self, theta):
        """Return them, with their gradients and Hessians."""
        shape = self.fixed.shape
        if not self.is_direct:
            return self.fixed, np.zeros((*shape, 2)), np.zeros((*shape, 2, 2))
        swap = np.array([[0.0, 1.0], [1.0, 0.0]])
        return (
            self.fixed * (1 + theta[0] * theta[1]),
            self.fixed[..., None] * theta[::-1],
            np.multiply.outer(self.fixed, swap),
        )

    def probabilities(self, theta):
        return np.exp(self.log_probs(theta)[0].sum(axis=1))

    def expectation(self, theta, discount):
        """Return the expected discounted return, with its gradient and Hessian: all scores weigh all rewards."""
        _, scores, curvatures = self.log_probs(theta)
        falling = discount ** np.arange(self.steps)
        c, dc, ddc = (np.einsum("t,bt...->b...", falling, x) for x in self.rewards(theta))
        g, H, p = scores.sum(axis=1), curvatures.sum(axis=1), self.probabilities(theta)
        cross = np.einsum("bi,bj->bij", g, dc)
        second = c[:, None, None] * (np.einsum("bi,bj->bij", g, g) + H) + cross + cross.transpose(0, 2, 1) + ddc
        return p @ c, p @ (c[:, None] * g + dc), np.einsum("b,bij->ij", p, second)
