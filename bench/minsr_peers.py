"""The peers that solve in the space of samples: NumPy, PyTorch and curvblas."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from case import Check, Job
from jobs import distance

ROWS, COLUMNS, DAMPING = 1000, 1_000_000, 1e-2
TOLERANCE = 2e-4  # the condition of the system is about a hundred


class System:
    """``x = J^T (J J^T + damping I)^-1 e``; a peer says how."""

    x: Any

    def __init__(self) -> None:
        rng = np.random.default_rng(26)
        self.J = rng.standard_normal((ROWS, COLUMNS), dtype=np.float32)
        self.J *= np.float32(1 / np.sqrt(COLUMNS))
        self.e = rng.standard_normal(ROWS, dtype=np.float32)
        self.load()

    def load(self) -> None:
        """Import the library, and hand it the arrays."""

    def every(self) -> None:
        """Solve."""
        raise NotImplementedError

    def job(self) -> Job:
        """Make a job of it."""
        return Job(self.every, self.check)

    def check(self) -> list[Check]:
        """Put x into ``J^T (J x - e) + damping x = 0``, row by row in float64."""
        x = np.float64(np.asarray(self.x))
        left = np.array([np.einsum("p,p->", row, x, dtype=np.float64) for row in self.J]) - self.e
        gradient = DAMPING * x
        for row, weight in zip(self.J, left, strict=True):
            gradient += weight * row
        return [Check("x", distance(gradient / DAMPING + x, x), TOLERANCE)]


class Curvblas(System):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def every(self) -> None:
        """Solve."""
        self.x = self.cb.sample_space_solve(self.J, self.e, DAMPING).solution


class Numpy(System):
    """SYRK, as NumPy finds that both sides are the same array, and LU of a thousand unknowns: 1 % of the time."""

    def every(self) -> None:
        """Solve."""
        K = self.J @ self.J.T
        K[np.diag_indices(ROWS)] += np.float32(DAMPING)
        self.x = np.linalg.solve(K, self.e) @ self.J


class Torch(System):
    """Cholesky."""

    def load(self) -> None:
        """Import PyTorch, and share the arrays' memory."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.rows, self.right = self.torch.from_numpy(self.J), self.torch.from_numpy(self.e)

    def every(self) -> None:
        """Solve."""
        K = self.rows @ self.rows.T
        K.diagonal().add_(DAMPING)
        weights = self.torch.cholesky_solve(self.right[:, None], self.torch.linalg.cholesky(K))
        self.x = (weights.T @ self.rows)[0]
