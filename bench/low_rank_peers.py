"""The peers that multiply few long rows: NumPy, PyTorch and curvblas."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from case import Check, Job
from jobs import distance, times, worst

TOLERANCE = 2e-6  # about ten times what a sound answer shows here


class Products:
    """``R R^T`` and ``R v``; a peer says how."""

    squares: Any
    products: Any

    def __init__(self, rows: int, columns: int) -> None:
        rng = np.random.default_rng(22)
        self.R = rng.standard_normal((rows, columns), dtype=np.float32)
        self.v = rng.standard_normal(columns, dtype=np.float32)
        self.load()

    def load(self) -> None:
        """Import the library, and hand it the arrays."""

    def every(self) -> None:
        """Multiply."""
        raise NotImplementedError

    def job(self) -> Job:
        """Make a job of it."""
        return Job(self.every, self.check)

    def check(self) -> list[Check]:
        """Compare ``(R R^T) z`` with ``R (R^T z)``, and ``R v`` relative to the norms of R and of v."""
        z = np.random.default_rng(23).standard_normal(len(self.R))
        back = np.einsum("ij,i->j", self.R, z)
        squares = distance(times(self.squares, z), times(self.R, back))
        difference = np.asarray(self.products, np.float64) - times(self.R, np.float64(self.v))
        scale = np.sqrt(len(self.R)) * self.R.shape[1]  # of unit variance
        return [Check("products", worst([squares, float(np.sqrt(np.sum(difference**2))) / scale]), TOLERANCE)]


class Curvblas(Products):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def every(self) -> None:
        """Multiply."""
        self.squares, self.products = self.cb.gram_products(self.R, self.v)


class Numpy(Products):
    """Two products: SYRK, as NumPy finds that both sides are the same array, and GEMV."""

    def every(self) -> None:
        """Multiply."""
        self.squares, self.products = self.R @ self.R.T, self.R @ self.v


class Torch(Products):
    """Two products."""

    def load(self) -> None:
        """Import PyTorch, and share the arrays' memory."""
        torch: Any = importlib.import_module("torch")
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.rows, self.vector = torch.from_numpy(self.R), torch.from_numpy(self.v)

    def every(self) -> None:
        """Multiply."""
        self.squares, self.products = self.rows @ self.rows.T, self.rows @ self.vector
