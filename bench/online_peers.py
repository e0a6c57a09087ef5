"""The peers that precondition rows as Kaldi does, all sides of a network: NumPy, PyTorch and curvblas."""

from __future__ import annotations

import importlib
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import worst

ROWS, PERIOD, ALPHA, HISTORY, EPSILON, DELTA = 512, 4, 4.0, 2000.0, 1e-10, 5e-4
FIRST_UPDATES, START_PASSES = 10, 3
# Inputs with their 1, and outputs, of six layers that see spliced frames.
SIDES = [(513, 20), (512, 80), (1537, 20), (512, 80), (1537, 20), (512, 80), (1537, 20), (1000, 80)]
SIDES += [(3001, 20), (1000, 80), (1001, 20), (3000, 80)]
TOLERANCE = 1e-4

Array = NDArray[Any]


class Factor(NamedTuple):
    """What a side keeps: ``W = E^(1/2) R``, d, rho."""

    W: Any
    d: Any
    rho: Any


class Network:
    """So many calls as lie between two updates, for all sides; a peer says how."""

    X_hat: list[Any]

    def __init__(self) -> None:
        rng = np.random.default_rng(25)
        self.X = [self.rows(rng, dim, rank) for dim, rank in SIDES]
        self.load()
        for _ in range(FIRST_UPDATES + 1):
            self.call()
        self.before = self.factors()

    @staticmethod
    def rows(rng: np.random.Generator, dim: int, rank: int) -> Array:
        """Draw rows whose second moment has a few large eigenvalues."""
        large = rng.standard_normal((ROWS, rank), dtype=np.float32) @ rng.standard_normal((rank, dim), dtype=np.float32)
        rows: Array = large * np.float32(0.3) + rng.standard_normal((ROWS, dim), dtype=np.float32)
        return rows

    def load(self) -> None:
        """Import the library, and make what is kept."""
        raise NotImplementedError

    def call(self) -> None:
        """Precondition all sides, and bring their factors up to date where it is due."""
        raise NotImplementedError

    def factors(self) -> list[Factor]:
        """List what is kept, as NumPy arrays."""
        raise NotImplementedError

    def every(self) -> None:
        """Call until the factors have changed once."""
        for _ in range(PERIOD):
            self.call()

    def job(self) -> Job:
        """Make a job of it."""
        return Job(self.every, self.check)

    def check(self) -> list[Check]:
        """Multiply some of the last rows by G of the factors of before: that gives X again but for one number."""
        errors, traces = [], []
        for X, X_hat, (W, d, rho) in zip(self.X, self.X_hat, self.before, strict=True):
            dim = X.shape[1]
            beta = rho * (1 + ALPHA) + ALPHA * d.sum() / dim
            R = np.float64(W) * np.sqrt(beta / d + 1)[:, None]
            some = np.float64(np.asarray(X_hat)[::64])
            back = beta * some + np.einsum("ik,kj->ij", np.einsum("ij,kj->ik", some, R) * d, R)
            scale = np.einsum("ij,ij->", back, X[::64]) / np.einsum("ij,ij->", back, back)
            norms = [np.sqrt(np.einsum("ij,ij->", A, A, dtype=np.float64)) for A in (np.asarray(X_hat), X)]
            errors += [float(np.abs(scale * back - X[::64]).max() / np.abs(X).max()), abs(norms[0] / norms[1] - 1)]
            traces.append(abs((d.sum() + dim * rho) / (norms[1] ** 2 / ROWS) - 1))
        return [Check("X_hat", worst(errors), TOLERANCE), Check("trace of F", worst(traces), 0.1)]


class Curvblas(Network):
    """One call for all sides."""

    def load(self) -> None:
        """Import curvblas."""
        cb: Any = importlib.import_module("curvblas")
        self.method = cb.OnlineNaturalGradient([dim for dim, _ in SIDES], rank=[rank for _, rank in SIDES])

    def call(self) -> None:
        """Precondition all sides."""
        self.X_hat = self.method.precondition(self.X)

    def factors(self) -> list[Factor]:
        """List what is kept."""
        kept = zip(self.method.weights, self.method.values, self.method.rho, strict=True)
        return [Factor(W, d, rho[0]) for W, d, rho in kept]


class Efficient(Network):
    """The recursion in its efficient form, side by side, with a library's products of matrices in float32."""

    xp: Any

    def load(self) -> None:
        """Make the factors of the start."""
        self.calls = 0
        self.kept = [self.first(dim, rank) for dim, rank in SIDES]

    def first(self, dim: int, rank: int) -> Factor:
        """Make the factor that no rows have been seen by."""
        W = np.zeros((rank, dim), np.float32)
        for r in range(rank):
            W[r, r::rank], W[r, r] = 1, 1.1
        beta = EPSILON * (1 + ALPHA) + ALPHA * EPSILON * rank / dim
        W *= np.sqrt(1 / (beta / EPSILON + 1)) / np.linalg.norm(W, axis=1, keepdims=True)
        return Factor(self.xp.asarray(W), np.full(rank, EPSILON), EPSILON)

    def updated(self, X: Any, H: Any, factor: Factor, trace: float) -> Factor:
        """One step of the power iteration; what is of the size of the rank is in float64."""
        W, d, rho = factor
        rank, dim = W.shape
        eta = min(0.9, 1 - np.exp(-ROWS / HISTORY))
        a, b = eta / ROWS, 1 - eta
        J = H.T @ X
        K, L = np.float64(np.asarray(J @ J.T)), np.float64(np.asarray(H.T @ H))
        beta = rho * (1 + ALPHA) + ALPHA * d.sum() / dim
        root_e = np.sqrt(1 / (beta / d + 1))
        own = d + rho
        Z = (a * a * K + a * b * L * (own[:, None] + own)) / np.outer(root_e, root_e) + b * b * np.diag(own**2)
        c, U = np.linalg.eigh(Z)
        roots = np.sqrt(np.maximum(c[::-1], (rho * b) ** 2))
        new_rho = (a * trace + b * (dim * rho + d.sum()) - roots.sum()) / (dim - rank)
        floor = max(EPSILON, DELTA * roots[0])
        new_d, new_rho = np.maximum(roots - new_rho, floor), max(new_rho, floor)
        beta = new_rho * (1 + ALPHA) + ALPHA * new_d.sum() / dim
        A = np.sqrt(1 / (beta / new_d + 1))[:, None] * U.T[::-1] / roots[:, None] / root_e
        weights = [self.xp.asarray(np.float32(part)) for part in (a * A, b * A * own)]
        return Factor(weights[0] @ J + weights[1] @ W, new_d, new_rho)

    def call(self) -> None:
        """Precondition side by side."""
        for _ in range(START_PASSES if self.calls == 0 else 0):
            self.kept = [
                self.updated(X, X @ F.W.T, F, self.square(X)) for X, F in zip(self.given, self.kept, strict=True)
            ]
        is_due = self.calls <= FIRST_UPDATES or (self.calls - FIRST_UPDATES) % PERIOD == 0
        self.calls += 1
        self.X_hat = []
        for k, X in enumerate(self.given):
            H = X @ self.kept[k].W.T
            X_hat = X - H @ self.kept[k].W
            trace = self.square(X)
            X_hat *= float(np.sqrt(trace / self.square(X_hat)))
            if is_due:
                self.kept[k] = self.updated(X, H, self.kept[k], trace)
            self.X_hat.append(X_hat)

    @property
    def given(self) -> list[Any]:
        """The rows, in the library's form."""
        raise NotImplementedError

    def square(self, X: Any) -> float:
        """Sum the squares."""
        return float(self.xp.dot(X.ravel(), X.ravel()))

    def factors(self) -> list[Factor]:
        """List what is kept."""
        return [Factor(np.asarray(W), d, rho) for W, d, rho in self.kept]


class Numpy(Efficient):
    """With NumPy."""

    xp = np

    @property
    def given(self) -> list[Any]:
        """The rows."""
        return self.X


class Torch(Efficient):
    """With PyTorch."""

    def load(self) -> None:
        """Import PyTorch, and share the rows' memory."""
        self.xp = importlib.import_module("torch")
        self.xp.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.tensors = [self.xp.from_numpy(X) for X in self.X]
        super().load()

    @property
    def given(self) -> list[Any]:
        """The rows."""
        return self.tensors
