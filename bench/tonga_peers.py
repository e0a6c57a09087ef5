"""The peers that step by TONGA: NumPy block by block and in stacks, PyTorch, and curvblas."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import distance, worst

RANK, WINDOW, DECAY, DAMPING = 10, 20, 0.995, 1e-3
LONG = 1_000_000
BLOCKS = [size for size in range(50, 501, 50) for _ in range(50)]
TOLERANCE = 1e-4  # of v: the systems' condition is that of 30 gradients' products

Array = NDArray[Any]


class Steps:
    """A window of steps on one vector of parameters in blocks; a peer says how."""

    def __init__(self, sizes: list[int]) -> None:
        rng = np.random.default_rng(24)
        self.sizes, self.ends = sizes, np.cumsum(sizes)
        self.gradients = rng.standard_normal((WINDOW, sum(sizes)), dtype=np.float32)
        self.load()

    def load(self) -> None:
        """Import the library, and make what is kept from step to step."""
        raise NotImplementedError

    def step(self, g: Array) -> Any:
        """Take one gradient."""
        raise NotImplementedError

    def every(self) -> None:
        """Step through a window."""
        for g in self.gradients:
            self.v = self.step(g)

    def job(self) -> Job:
        """Make a job of a window."""
        return Job(self.every, self.check)

    def check(self) -> list[Check]:
        """Compare the last v of the first window, which is exact, with the solution in the gradients' span."""
        weights = np.sqrt(DECAY) ** np.arange(WINDOW - 1, -1, -1)
        errors = []
        for G, v in zip(self.blocks(self.gradients), self.blocks(np.asarray(self.v)[None]), strict=True):
            rows = weights[:, None] * np.float64(G)
            squares = np.einsum("ik,jk->ij", rows, rows) + DAMPING * np.eye(WINDOW)
            last = np.zeros(WINDOW)
            last[-1] = 1
            errors.append(distance(np.float64(v[0]), np.einsum("i,ij->j", np.linalg.solve(squares, last), rows)))
        return [Check("v", worst(errors), TOLERANCE)]

    def blocks(self, rows: Array) -> list[Array]:
        """Cut the columns of some rows into blocks."""
        return np.split(rows, self.ends[:-1], axis=1)


class Curvblas(Steps):
    """One call a step."""

    def load(self) -> None:
        """Import curvblas."""
        cb: Any = importlib.import_module("curvblas")
        options = {"rank": RANK, "window": WINDOW, "decay": DECAY, "damping": DAMPING}
        self.method = cb.TONGA(sum(self.sizes), blocks=self.sizes, **options)

    def step(self, g: Array) -> Any:
        """Take one gradient."""
        return self.method.step(g)


class Memory:
    """What a library's recursion keeps of a stack of equal blocks: rows X, and the squares of their products."""

    def __init__(self, batch: int, size: int, zeros: Any) -> None:
        self.X = zeros((batch, RANK + WINDOW, size), "float32")
        self.K = zeros((batch, RANK + WINDOW, RANK + WINDOW), "float64")
        self.count = 0


def numpy_step(memory: Memory, g: Array) -> Any:
    """Step with stacks of NumPy arrays: ``g`` is (batch, size)."""
    X, K, r = memory.X, memory.K, RANK + memory.count
    scale = DECAY ** (-(memory.count + 1) / 2)
    X[:, r] = np.float32(scale) * g
    K[:, r, : r + 1] = (X[:, : r + 1] @ X[:, r, :, None])[..., 0]
    K[:, : r + 1, r] = K[:, r, : r + 1]
    shifted = K[:, : r + 1, : r + 1] + scale**2 * DAMPING * np.eye(r + 1)
    last = np.zeros((len(X), r + 1, 1))
    last[:, -1] = scale
    coefficients = np.linalg.solve(shifted, last)[..., 0].astype(np.float32)
    v = (coefficients[:, None] @ X[:, : r + 1])[:, 0]
    memory.count += 1
    if memory.count == WINDOW:
        values, vectors = np.linalg.eigh(K)
        kept = (vectors[..., : -RANK - 1 : -1] / scale).astype(np.float32)
        X[:, :RANK] = np.swapaxes(kept, 1, 2) @ X
        K[:] = 0
        K[:, range(RANK), range(RANK)] = values[:, : -RANK - 1 : -1] / scale**2
        memory.count = 0
    return v


class Numpy(Steps):
    """Block by block."""

    def load(self) -> None:
        """Make the memories."""
        self.memories = [Memory(1, size, np.zeros) for size in self.sizes]

    def step(self, g: Array) -> Any:
        """Take one gradient."""
        blocks = self.blocks(g[None])
        return np.concatenate([numpy_step(m, b)[0] for m, b in zip(self.memories, blocks, strict=True)])


class NumpyBatched(Steps):
    """Blocks of one size as one stack; they are neighbours."""

    def load(self) -> None:
        """Make a memory for each size."""
        self.counts = {size: self.sizes.count(size) for size in dict.fromkeys(self.sizes)}
        self.memories = [Memory(count, size, np.zeros) for size, count in self.counts.items()]

    def step(self, g: Array) -> Any:
        """Take one gradient."""
        ends = np.cumsum([size * count for size, count in self.counts.items()])
        stacks = [x.reshape(-1, size) for x, size in zip(np.split(g, ends[:-1]), self.counts, strict=True)]
        return np.concatenate([numpy_step(m, x).ravel() for m, x in zip(self.memories, stacks, strict=True)])


class Torch(Steps):
    """Block by block."""

    def load(self) -> None:
        """Import PyTorch, and make the memories."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

        def zeros(shape: tuple[int, ...], dtype: str) -> Any:
            return self.torch.zeros(shape[1:], dtype=getattr(self.torch, dtype))

        self.memories = [Memory(1, size, zeros) for size in self.sizes]

    def one(self, memory: Memory, g: Any) -> Any:
        """Step with one block."""
        torch, X, K, r = self.torch, memory.X, memory.K, RANK + memory.count
        scale = DECAY ** (-(memory.count + 1) / 2)
        torch.mul(g, scale, out=X[r])
        K[r, : r + 1] = X[: r + 1] @ X[r]
        K[: r + 1, r] = K[r, : r + 1]
        shifted = K[: r + 1, : r + 1] + scale**2 * DAMPING * torch.eye(r + 1, dtype=torch.float64)
        last = torch.zeros(r + 1, dtype=torch.float64)
        last[-1] = scale
        v = torch.linalg.solve(shifted, last).float() @ X[: r + 1]
        memory.count += 1
        if memory.count == WINDOW:
            values, vectors = torch.linalg.eigh(K)
            X[:RANK] = (vectors.flip(1)[:, :RANK] / scale).float().T @ X
            K.zero_()
            K.diagonal()[:RANK] = values.flip(0)[:RANK] / scale**2
            memory.count = 0
        return v

    def step(self, g: Array) -> Any:
        """Take one gradient."""
        blocks = self.torch.from_numpy(g).split(self.sizes)
        return self.torch.cat([self.one(m, b) for m, b in zip(self.memories, blocks, strict=True)])
