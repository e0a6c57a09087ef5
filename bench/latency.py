"""Time the smallest calls, where the way from Python to the kernel and back counts; and the import."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from case import OWN, Case, Check, Family, Job, Peer

SIZE, ROWS = 8, 32
DECAY, DAMPING = 0.95, 1e-2
IMPORT = "import numpy, time as t; start = t.perf_counter(); import curvblas; print(t.perf_counter() - start)"

Matrix = NDArray[np.float32]
Update = Callable[[Matrix, Matrix], None]
Inverse = Callable[[Matrix], Matrix]


def numpy_update(C: Matrix, X: Matrix) -> None:
    """Set ``C <- decay C + (1 - decay) X^T X / N``."""
    moment = X.T @ X
    moment *= (1 - DECAY) / len(X)
    C *= DECAY
    C += moment


def numpy_inverse(C: Matrix) -> Matrix:
    """Return ``(C + damping I)^-1``."""
    damped = C.copy()
    damped.ravel()[:: len(C) + 1] += DAMPING
    return np.linalg.inv(damped)


def numpy_kernels() -> tuple[Update, Inverse]:
    """Return the two kernels."""
    return numpy_update, numpy_inverse


def own_kernels() -> tuple[Update, Inverse]:
    """Return the same two of curvblas."""
    cb = importlib.import_module(OWN)
    return (
        lambda C, X: cb.update_factors(C, X, decay=DECAY),
        lambda C: cb.damped_inverse(C, DAMPING).inverse,
    )


def import_job() -> Job:
    """Import curvblas after numpy in a fresh interpreter, which reads the clock itself."""

    def call() -> float:
        done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
        return float(done.stdout)

    return Job(call, verify=list, times_itself=True)


def update_job(update: Update) -> Job:
    """One factor in one call."""
    rng = np.random.default_rng(20)
    X = rng.standard_normal((ROWS, SIZE), dtype=np.float32)
    C = np.eye(SIZE, dtype=np.float32)
    expected = DECAY * np.eye(SIZE) + (1 - DECAY) / ROWS * np.einsum("ni,nj->ij", X, X, dtype=np.float64)

    def verify() -> list[Check]:
        return [Check("update_factors", float(np.max(np.abs(C - expected))), 1e-6)]

    return Job(lambda: update(C, X), verify)


def inverse_job(invert: Inverse) -> Job:
    """One factor in one call."""
    rng = np.random.default_rng(20)
    X = rng.standard_normal((ROWS, SIZE), dtype=np.float32)
    C = np.einsum("ni,nj->ij", X, X) / ROWS

    def verify() -> list[Check]:
        damped = C + DAMPING * np.eye(SIZE)
        residual = np.einsum("ij,jk->ik", damped, invert(C)) - np.eye(SIZE)
        return [Check("damped_inverse", float(np.max(np.abs(residual))), 1e-5)]

    return Job(lambda: invert(C), verify)


def peer(kernels: Callable[[], tuple[Update, Inverse]], *packages: str) -> Peer:
    """Make a peer of two kernels."""

    def job(case: Case) -> Job:
        if case.operation == "import":
            return import_job()
        update, invert = kernels()
        return update_job(update) if case.operation == "update_factors" else inverse_job(invert)

    return Peer(job, packages)


FAMILY = Family(
    title="Latency from Python: one 8 x 8 factor, float32",
    cases=[
        Case("8x8", "update_factors", quick=True, goal_seconds=10e-6),
        Case("8x8", "damped_inverse", quick=True, goal_seconds=20e-6),
        Case("package", "import", quick=True, goal_seconds=0.15, peers=(OWN,)),
    ],
    peers={OWN: peer(own_kernels, OWN), "numpy": peer(numpy_kernels)},
    notes=(
        f"update_factors: {ROWS} rows. package/import: a fresh process that has imported numpy.",
        "numpy.linalg computes float32 in float64.",
    ),
)
