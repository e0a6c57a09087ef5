"""Generalised linear models: data, derivatives case by case, and Fisher matrices as expectations over outcomes."""

import math

import numpy as np

FAMILIES = ("logistic", "poisson", "least_squares")


def regression(rng, family, cases=200, dim=6):
    """Return X, y and weights of a model with small parameters."""
    X, truth = rng.standard_normal((cases, dim)), rng.standard_normal(dim) / dim
    z = X @ truth
    y = {
        "logistic": lambda: (rng.random(cases) < 1 / (1 + np.exp(-z))).astype(float),
        "poisson": lambda: rng.poisson(np.exp(z)).astype(float),
        "least_squares": lambda: z + rng.standard_normal(cases),
    }[family]()
    return X, y, rng.uniform(0.5, 2, cases)


def outcomes(family, z):
    """Return targets and their probabilities whose first two moments are those of the model."""
    if family == "logistic":
        return np.array([0.0, 1.0]), np.array([1, math.exp(z)]) / (1 + math.exp(z))
    if family == "poisson":
        y = np.arange(120)
        logarithms = [k * z - math.exp(z) - math.lgamma(k + 1) for k in y]
        return y.astype(float), np.exp(logarithms)
    return z + np.array([-1.0, 1.0]), np.array([0.5, 0.5])


def score(family, z, y):
    """Return the derivative of a case's loss by z."""
    return {"logistic": lambda: 1 / (1 + np.exp(-z)), "poisson": lambda: np.exp(z), "least_squares": lambda: z}[
        family
    ]() - y


def fisher(family, X, weights, w):
    """Return the mean of E[score^2] x x^T over the cases, outcome by outcome."""
    F = np.zeros((X.shape[1], X.shape[1]))
    for x, c in zip(X, weights, strict=True):
        y, probabilities = outcomes(family, x @ w)
        F += c * np.sum(probabilities * score(family, x @ w, y) ** 2) * np.outer(x, x)
    return F / len(X)


def gradient(family, X, y, weights, w):
    """Return the mean gradient, case by case."""
    cases = zip(X, y, weights, strict=True)
    return np.mean([c * score(family, x @ w, target) * x for x, target, c in cases], axis=0)
