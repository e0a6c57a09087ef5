"""The peers that keep a memory of long pairs and multiply with L-BFGS's inverse: NumPy, PyTorch and curvblas."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import distance

MEMORY = 10
SPARE = 1  # pairs beyond those that are kept, so that each new one is news
TOLERANCE = 1e-5

Array = NDArray[Any]


def two_loops(S: Array, Y: Array, g: Array) -> NDArray[np.float64]:
    """Return ``-H g`` of one memory in float64, without a BLAS (Nocedal 1980)."""
    pairs = [(s, y, dot(s, y)) for s, y in zip(S, Y, strict=True)]
    q, along = np.float64(g), []
    for s, y, sy in reversed(pairs):
        along.append(dot(s, q) / sy)
        q = q - along[-1] * y
    s, y, sy = pairs[-1]
    q *= sy / dot(y, y)
    for s, y, sy in pairs:
        q += (along.pop() - dot(y, q) / sy) * s
    direction: NDArray[np.float64] = -q
    return direction


def dot(x: Array, y: Array) -> np.float64:
    """Multiply two vectors in float64."""
    product: np.float64 = np.einsum("i,i->", x, y, dtype=np.float64, casting="same_kind")
    return product


class Memory:
    """Pairs of a convex quadratic in float32, of which the last are kept; a peer says how."""

    direction: Any = None

    def __init__(self, n: int, operation: str) -> None:
        rng = np.random.default_rng(30)
        self.n, self.operation = n, operation
        self.S = rng.standard_normal((MEMORY + SPARE, n), dtype=np.float32)
        self.Y = self.S * rng.uniform(0.1, 4, n).astype(np.float32)
        self.g = rng.standard_normal(n, dtype=np.float32)
        self.updates = 0
        self.load()
        for _ in range(MEMORY):
            self.update()

    def load(self) -> None:
        """Import the library, and make what is kept."""
        raise NotImplementedError

    def take(self, s: Array, y: Array) -> None:
        """Keep a pair in place of the oldest."""
        raise NotImplementedError

    def multiply(self) -> None:
        """Set the direction for g."""
        raise NotImplementedError

    def update(self) -> None:
        """Take the next pair."""
        k = self.updates % len(self.S)
        self.take(self.S[k], self.Y[k])
        self.updates += 1

    def job(self) -> Job:
        """Make a job of a direction, or of an update that a direction must know of."""
        return Job(self.multiply if self.operation == "direction" else self.update, self.check)

    def check(self) -> list[Check]:
        """Compare the direction with that of the two loops over the last pairs."""
        if self.direction is None:
            self.multiply()
        last = np.arange(self.updates - MEMORY, self.updates) % len(self.S)
        expected = two_loops(self.S[last], self.Y[last], self.g)
        return [Check("direction", distance(np.asarray(self.direction), expected), TOLERANCE)]


class Curvblas(Memory):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        cb: Any = importlib.import_module("curvblas")
        self.method, self.out = cb.LBFGS(self.n, memory=MEMORY), np.empty(self.n, np.float32)

    def take(self, s: Array, y: Array) -> None:
        """Keep a pair."""
        if not self.method.update(s, y):
            raise ValueError("a pair was refused")

    def multiply(self) -> None:
        """Set the direction."""
        self.direction = self.method.direction(self.g, out=self.out)


class Numpy(Memory):
    """The compact form (Byrd, Nocedal and Schnabel 1994, theorem 2.2), S above Y in one array.

    So one product reads both; with the products of pairs, in float64, all else is m x m.
    """

    def load(self) -> None:
        """Make the memory; the row of the newest pair moves cyclically."""
        self.pairs = np.zeros((2, MEMORY, self.n), np.float32)
        self.rows = self.pairs.reshape(2 * MEMORY, self.n)
        self.SY, self.YY = np.zeros((2, MEMORY, MEMORY))
        self.direction_of, self.part = np.empty_like(self.g), np.empty_like(self.g)

    def take(self, s: Array, y: Array) -> None:
        """Keep a pair, and its products with all."""
        k = self.updates % MEMORY
        self.pairs[0, k], self.pairs[1, k] = s, y
        self.SY[k] = self.pairs[1] @ s
        self.SY[:, k], self.YY[:, k] = (self.rows @ y).reshape(2, MEMORY)
        self.YY[k] = self.YY[:, k]

    def multiply(self) -> None:
        """Set the direction: two products with all rows."""
        order = np.arange(self.updates, self.updates + MEMORY) % MEMORY
        SY, YY = self.SY[order][:, order], self.YY[order][:, order]
        scale = SY[-1, -1] / YY[-1, -1]
        Sg, Yg = np.float64(self.rows @ self.g).reshape(2, MEMORY)[:, order]
        inverse = np.linalg.inv(np.triu(SY))
        inner = inverse @ Sg
        of_S = inverse.T @ (np.diag(SY) * inner + scale * (YY @ inner) - scale * Yg)
        weights = np.empty((2, MEMORY), np.float32)
        weights[:, order] = -of_S, scale * inner
        np.matmul(weights.ravel(), self.rows, out=self.direction_of)
        np.multiply(self.g, np.float32(scale), out=self.part)
        self.direction_of -= self.part
        self.direction = self.direction_of


class Torch(Memory):
    """Two loops over lists of pairs, as `torch.optim.LBFGS` does it: a new pair costs little, a direction much."""

    def load(self) -> None:
        """Import PyTorch."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.kept: list[Any] = []
        self.given = self.torch.from_numpy(self.g)

    def take(self, s: Array, y: Array) -> None:
        """Keep a pair."""
        s, y = self.torch.from_numpy(s).clone(), self.torch.from_numpy(y).clone()
        sy = y.dot(s)
        self.scale = sy / y.dot(y)
        self.kept = [*self.kept[-MEMORY + 1 :], (s, y, 1 / sy)]

    def multiply(self) -> None:
        """Set the direction."""
        d, along = self.given.neg(), []
        for s, y, inverse in reversed(self.kept):
            along.append(s.dot(d) * inverse)
            d.add_(y, alpha=-along[-1])
        d.mul_(self.scale)
        for s, y, inverse in self.kept:
            d.add_(s, alpha=along.pop() - y.dot(d) * inverse)
        self.direction = d
