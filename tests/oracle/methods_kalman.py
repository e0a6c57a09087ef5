"""Natural gradients of generalised linear models, in natural parameters, with explicit Fisher matrices."""

import numpy as np


def mean_and_covariance(family, f, variance=1.0):
    """Return the mean and covariance of the statistics, all of them: for categories the covariance is singular."""
    if family == "categorical":
        p = np.exp(f) / np.exp(f).sum()
        return p, np.diag(p) - np.outer(p, p)
    if family == "bernoulli":
        p = 1 / (1 + np.exp(-f))
        return p, np.diag(p * (1 - p))
    return (np.exp(f), np.diag(np.exp(f))) if family == "poisson" else (f, variance * np.eye(len(f)))


class OnlineNaturalGradient:
    """J <- (1 - eta) J + eta F, theta <- theta - eta J^-1 grad, with rates from a function of the step."""

    def __init__(self, family, J, rate, variance=1.0):
        self.family, self.J, self.rate, self.variance, self.steps = family, J, rate, variance, 0

    def step(self, jacobian, f, statistics):
        self.steps += 1
        eta = self.rate(self.steps)
        mean, covariance = mean_and_covariance(self.family, f, self.variance)
        if self.family == "gaussian":  # natural parameters are means over variances
            fisher, gradient = jacobian.T @ jacobian / self.variance, jacobian.T @ (mean - statistics) / self.variance
        else:
            fisher, gradient = jacobian.T @ covariance @ jacobian, jacobian.T @ (mean - statistics)
        self.J = (1 - eta) * self.J + eta * fisher
        return -eta * np.linalg.solve(self.J, gradient)


def draw_target(family, f, rng):
    """Return a target of the model, as the filter takes it, and its statistics."""
    mean = mean_and_covariance(family, f)[0]
    if family == "categorical":
        k = int(rng.choice(len(f), p=mean))
        return k, np.eye(len(f))[k]
    y = {
        "bernoulli": lambda: (rng.random(len(f)) < mean).astype(float),
        "poisson": lambda: rng.poisson(mean).astype(float),
        "gaussian": lambda: mean + rng.standard_normal(len(f)),
    }[family]()
    return y, y
