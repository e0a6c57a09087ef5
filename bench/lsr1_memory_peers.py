"""The peers that keep a memory of long pairs and step with its L-SR1 matrix: NumPy and curvblas."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from lsr1_peers import GAMMA, multipliers, numpy_solve, optimality, spectrum
from optimality import Models

MEMORY, RADIUS = 10, 1.0
TOLERANCE = 1e-5
PIECE, PIECES = 250, 400  # rows of a factorisation, and how many of them at a time
SPARE = 2  # more pairs than are kept, so that each new one is news

Array = NDArray[Any]


class Memory:
    """Pairs of an indefinite quadratic in float32, of which the last are kept; a peer says how."""

    def __init__(self, n: int, operation: str) -> None:
        rng = np.random.default_rng(29)
        self.n, self.operation = n, operation
        curvature = rng.uniform(-2, 4, n).astype(np.float32)
        self.S = rng.standard_normal((MEMORY + SPARE, n), dtype=np.float32)
        # Each pair sees another part of the axes, and so another curvature.
        for part, s in zip(np.array_split(np.arange(n), len(self.S)), self.S, strict=True):
            s[part[0] : part[-1] + 1] *= 4
            curvature[part[0] : part[-1] + 1] += np.float32(rng.uniform(-2, 2))
        self.Y = self.S * curvature
        self.g = rng.standard_normal(n, dtype=np.float32)
        self.updates = 0
        self.found: Any = None
        self.load()
        for _ in range(MEMORY):
            self.update()

    def load(self) -> None:
        """Import the library, and make what is kept."""
        raise NotImplementedError

    def take(self, s: Array, y: Array) -> None:
        """Keep a pair in place of the oldest."""
        raise NotImplementedError

    def step(self) -> None:
        """Take the step for g."""
        raise NotImplementedError

    def update(self) -> None:
        """Take the next pair."""
        k = self.updates % len(self.S)
        self.take(self.S[k], self.Y[k])
        self.updates += 1

    def job(self) -> Job:
        """Make a job of a step, or of an update that a step must know of."""
        return Job(self.step if self.operation == "step" else self.update, self.check)

    def check(self) -> list[Check]:
        """Test whether the step with the last pairs is a minimiser."""
        if self.found is None:
            self.step()
        last = np.arange(self.updates - MEMORY, self.updates) % len(self.S)
        step, multiplier = self.found
        small = coordinates([*self.S[last], *self.Y[last], self.g, np.asarray(step)])
        S, Y, g, p = small[None, :MEMORY], small[None, MEMORY:-2], small[None, -2], small[None, -1]
        models = Models(S, Y, np.array([GAMMA]), g, np.array([RADIUS * self.n**0.5]))
        return optimality(models, p, np.asarray([multiplier]).reshape(1), TOLERANCE)


def coordinates(vectors: list[Array]) -> Array:
    """Return long vectors in an orthonormal basis of their span, in float64: a minimiser is known there, too."""
    # QR factorisations of pieces, and of those of their factors, so small that LAPACK wakes no thread.
    while len(vectors[0]) > PIECE:
        factors = []
        for start in range(0, len(vectors[0]), PIECES * PIECE):
            slab = np.stack([v[start : start + PIECES * PIECE] for v in vectors], axis=1).astype(np.float64)
            slab = np.pad(slab, ((0, -len(slab) % PIECE), (0, 0)))
            R = np.asarray(np.linalg.qr(slab.reshape(-1, PIECE, len(vectors)), mode="r"))
            factors.append(R.reshape(-1, len(vectors)))
        vectors = list(np.concatenate(factors).T)
    R = np.asarray(np.linalg.qr(np.stack(vectors, axis=1), mode="r"))
    inside: Array = R.T
    return inside


class Curvblas(Memory):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        cb: Any = importlib.import_module("curvblas")
        self.method, self.out = cb.LSR1(self.n, memory=MEMORY, gamma=GAMMA), np.empty(self.n, np.float32)

    def take(self, s: Array, y: Array) -> None:
        """Keep a pair."""
        if not self.method.update(s, y):
            raise ValueError("a pair was refused")

    def step(self) -> None:
        """Take the step."""
        found = self.method.step(self.g, RADIUS * self.n**0.5, out=self.out)
        self.found = found.step, found.multiplier


class Numpy(Memory):
    """S above Y in one array, so that both are read by one product; products of pairs in float64."""

    def load(self) -> None:
        """Make the memory; the row of the newest pair moves cyclically."""
        self.pairs = np.zeros((2, MEMORY, self.n), np.float32)
        self.rows = self.pairs.reshape(2 * MEMORY, self.n)
        self.products = np.zeros((2, MEMORY, 2, MEMORY))
        self.p, self.part = np.empty_like(self.g), np.empty_like(self.g)

    def take(self, s: Array, y: Array) -> None:
        """Keep a pair, and its products with all."""
        k = self.updates % MEMORY
        self.pairs[0, k], self.pairs[1, k] = s, y
        for kind, vector in enumerate((s, y)):
            new = (self.rows @ vector).reshape(2, MEMORY)
            self.products[kind, k] = new
            self.products[:, :, kind, k] = new

    def step(self) -> None:
        """Take the step: two products with all rows."""
        g, order = self.g, np.arange(self.updates, self.updates + MEMORY) % MEMORY
        ordered = self.products[:, order][..., order]
        (SS, SY), (_, YY) = ordered.swapaxes(1, 2)
        lower = np.tril(SY - GAMMA * SS)
        along = np.float64(self.rows @ g).reshape(2, MEMORY)[:, order]
        values, W = spectrum(np, numpy_solve, YY - GAMMA * (SY + SY.T) + GAMMA**2 * SS, lower + np.tril(lower, -1).T)
        a = W.T @ (along[1] - GAMMA * along[0])
        outside = np.sqrt(np.float64(g @ g) - a @ a)
        radius = np.array(RADIUS * self.n**0.5)
        sigma = float(multipliers(np, np.append(values, 0) + GAMMA, np.append(a, outside), radius))
        of_psi = W @ (a / (GAMMA + sigma) - a / (values + GAMMA + sigma))
        weights = np.empty((2, MEMORY), np.float32)
        weights[:, order] = -GAMMA * of_psi, of_psi
        np.matmul(weights.ravel(), self.rows, out=self.p)
        np.multiply(g, np.float32(1 / (GAMMA + sigma)), out=self.part)
        self.p -= self.part
        self.found = self.p, sigma
