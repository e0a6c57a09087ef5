"""The peers that step a Kalman filter of parameters: NumPy, PyTorch and curvblas."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import distance, worst

STEPS, NOISE = 10, 0.5
TOLERANCE = 1e-4

Array = NDArray[Any]


class Filter:
    """Some steps with random jacobians, each error one: a peer says how. ``sizes`` are those of the blocks."""

    def __init__(self, sizes: list[int], outputs: int) -> None:
        rng = np.random.default_rng(27)
        self.sizes, self.ends = sizes, np.cumsum(sizes)
        shape = (STEPS, outputs, sum(sizes))
        self.H = rng.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(max(sizes)))
        self.e, self.R = np.ones(outputs, np.float32), np.full(outputs, NOISE, np.float32)
        self.updates: list[Any] = []
        self.load()

    def load(self) -> None:
        """Import the library, and make the covariances."""
        raise NotImplementedError

    def step(self, H: Array) -> Any:
        """Take one step."""
        raise NotImplementedError

    def every(self) -> None:
        """Take all steps."""
        self.updates = [self.step(H) for H in self.H]

    def job(self) -> Job:
        """Make a job of it."""
        return Job(self.every, self.check)

    def check(self) -> list[Check]:
        """Compare the last update with ``(I + H^T H / R)^-1 h`` in the span of all jacobians so far, in float64."""
        errors = []
        rows = np.float64(self.H.reshape(-1, self.H.shape[2]))
        last = np.asarray(self.updates[-1], np.float64)
        weights = np.zeros(len(rows))
        weights[-len(self.e) :] = 1
        blocks = (np.split(x, self.ends[:-1], axis=-1) for x in (rows, last))
        for H, update in zip(*blocks, strict=True):
            K = np.einsum("ip,jp->ij", H, H) + NOISE * np.eye(len(H))
            errors.append(distance(update, np.einsum("i,ip->p", np.linalg.solve(K, weights), H)))
        return [Check("update", worst(errors), TOLERANCE)]


class Curvblas(Filter):
    """One call a step."""

    def load(self) -> None:
        """Import curvblas."""
        cb: Any = importlib.import_module("curvblas")
        self.method = cb.KalmanNaturalGradient(sum(self.sizes), blocks=self.sizes)

    def step(self, H: Array) -> Any:
        """Take one step."""
        return self.method.step(H, self.e, self.R)


class Numpy(Filter):
    """Block by block: ``P -= K (H P)``."""

    def load(self) -> None:
        """Make the covariances."""
        self.P = [np.eye(n, dtype=np.float32) for n in self.sizes]

    def step(self, H: Array) -> Any:
        """Take one step."""
        updates = []
        for P, h in zip(self.P, np.split(H, self.ends[:-1], axis=1), strict=True):
            W = h @ P
            K = np.linalg.solve(W @ h.T + np.diag(self.R), W)
            P -= W.T @ K
            updates.append(self.e @ K)
        return np.concatenate(updates)


class Torch(Filter):
    """The same, the covariances brought up to date by ``addmm_``."""

    def load(self) -> None:
        """Import PyTorch, and make the covariances."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.P = [self.torch.eye(n) for n in self.sizes]
        self.right, self.noise = self.torch.from_numpy(self.e), self.torch.diag(self.torch.from_numpy(self.R))

    def step(self, H: Array) -> Any:
        """Take one step."""
        updates = []
        for P, h in zip(self.P, self.torch.from_numpy(H).split(self.sizes, dim=1), strict=True):
            W = h @ P
            K = self.torch.linalg.solve(W @ h.T + self.noise, W)
            P.addmm_(W.T, K, alpha=-1)
            updates.append(self.right @ K)
        return self.torch.cat(updates)
