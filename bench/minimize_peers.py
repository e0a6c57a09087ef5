"""The peers that minimise whole functions by L-BFGS: SciPy and curvblas."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job

MEMORY, RIDGE = 10, 1e-3
TARGET = 1e-6  # of the largest entry of the gradient

Vector = NDArray[np.float64]


class TargetReachedError(Exception):
    """The gradient is small enough: so every search ends at the same point, whatever its own criterion."""


class Regression:
    """Multinomial logistic regression with a ridge: the mean loss and its gradient."""

    def __init__(self, inputs: Vector, labels: NDArray[np.int64]) -> None:
        spread = inputs.std(axis=0)
        used = inputs[:, spread > 0]
        self.X = np.column_stack([(used - used.mean(axis=0)) / spread[spread > 0], np.ones(len(used))])
        self.T = np.eye(labels.max() + 1)[labels]
        self.size = self.X.shape[1] * self.T.shape[1]

    def __call__(self, w: Vector) -> tuple[float, Vector]:
        """Return both."""
        W = w.reshape(self.T.shape[1], -1)
        Z = self.X @ W.T
        Z -= Z.max(axis=1, keepdims=True)
        E = np.exp(Z)
        total = E.sum(axis=1, keepdims=True)
        loss = np.log(total).mean() - (Z * self.T).sum() / len(Z)
        gradient = (E / total - self.T).T @ self.X / len(Z) + RIDGE * W
        return float(loss + RIDGE / 2 * (w @ w)), gradient.ravel()


def regression(name: str) -> Regression:
    """Make one of a data set of scikit-learn."""
    data = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")()
    return Regression(np.float64(data.data), data.target)


class Search:
    """A search from 0, until the gradient is below the target; a peer says how."""

    def __init__(self, name: str) -> None:
        self.function = regression(name)
        self.load()

    def load(self) -> None:
        """Import the library."""
        raise NotImplementedError

    def search(self) -> None:
        """Minimise `objective`, which leaves when it has arrived."""
        raise NotImplementedError

    def objective(self, w: Vector) -> tuple[float, Vector]:
        """Return the function and its gradient, counted."""
        self.evaluations += 1
        value, gradient = self.function(w)
        if np.abs(gradient).max() <= TARGET:
            self.solution = w.copy()
            raise TargetReachedError
        return value, gradient

    def every(self) -> None:
        """Search anew."""
        self.evaluations, self.solution = 0, np.full(self.function.size, np.nan)
        try:
            self.search()
        except TargetReachedError:
            return

    def job(self) -> Job:
        """Make a job of it."""
        return Job(self.every, self.check)

    def check(self) -> list[Check]:
        """Look at the gradient, by products without a BLAS; and report the number of evaluations."""
        X, T = self.function.X, self.function.T
        W = self.solution.reshape(T.shape[1], -1)
        E = np.exp(np.einsum("ni,ki->nk", X, W))
        gradient = np.einsum("nk,ni->ki", E / E.sum(axis=1, keepdims=True) - T, X) / len(X) + RIDGE * W
        return [
            Check("gradient", float(np.abs(gradient).max()), 1.01 * TARGET),
            Check("evaluations", float(self.evaluations), np.inf),
        ]


class Curvblas(Search):
    """`minimize_lbfgs`."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def search(self) -> None:
        """Search."""
        self.cb.minimize_lbfgs(self.objective, np.zeros(self.function.size), memory=MEMORY, rtol=0.0)


class Scipy(Search):
    """L-BFGS-B without bounds."""

    def load(self) -> None:
        """Import SciPy."""
        self.minimize: Any = importlib.import_module("scipy.optimize").minimize

    def search(self) -> None:
        """Search."""
        options = {"maxcor": MEMORY, "ftol": 0, "gtol": 0, "maxiter": 10_000, "maxfun": 10_000}
        self.minimize(self.objective, np.zeros(self.function.size), jac=True, method="L-BFGS-B", options=options)
