"""Check that another library in our process keeps its speed: its time beside our calls, and beside a sleep.

Each cycle does work of the other library, whose time counts, and then one call of ours, whose time does not.
The peer ``sleep`` sleeps as long as that call takes, in a process that never imported curvblas.
"""

from __future__ import annotations

import importlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from case import OWN, Case, Family, Job, Peer

MATMUL_SIZE = 768
MATMULS = 2
FACTORS = 8
FACTOR_SIZE = 256
DAMPING = 1e-2


def own_call() -> Callable[[], object]:
    """Return a call that keeps all our threads busy for some milliseconds."""
    cb = importlib.import_module(OWN)
    factors = [np.eye(FACTOR_SIZE, dtype=np.float32) for _ in range(FACTORS)]
    return lambda: cb.damped_inverse(factors, DAMPING)


def own_seconds() -> float:
    """Return the median time of our call, measured in a process of its own (this module's command line)."""
    command = [sys.executable, __file__]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_own_seconds() -> None:
    """Print what `own_seconds` reads."""
    call = own_call()
    times = []
    for _ in range(30):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    print(statistics.median(times))


def numpy_work() -> Callable[[], object]:
    """Return NumPy's part of a cycle."""
    X = np.random.default_rng(20).standard_normal((MATMUL_SIZE, MATMUL_SIZE), dtype=np.float32)
    out = np.empty_like(X)
    return lambda: [np.matmul(X, X, out=out) for _ in range(MATMULS)]


def torch_work() -> Callable[[], object]:
    """Return PyTorch's part of a cycle."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    X = torch.ones(MATMUL_SIZE, MATMUL_SIZE)
    out = torch.empty_like(X)
    return lambda: [torch.mm(X, X, out=out) for _ in range(MATMULS)]


WORK = {"numpy": numpy_work, "torch": torch_work}


def peer(pause: Callable[[], Callable[[], object]]) -> Peer:
    """Make a peer of what stands between two parts of the other library's work."""

    def job(case: Case) -> Job:
        work, between = WORK[case.group](), pause()

        def cycle() -> float:
            start = time.perf_counter()
            work()
            seconds = time.perf_counter() - start
            between()
            return seconds

        return Job(cycle, verify=list, times_itself=True)

    return Peer(job, (OWN,))


def sleep() -> Callable[[], object]:
    """Return a sleep as long as our call."""
    seconds = own_seconds()
    return lambda: time.sleep(seconds)


FAMILY = Family(
    title="Politeness: another library's matmuls between our calls, or between sleeps",
    ratio=f"time beside sleeps / time beside {OWN}   (1x: not slowed)",
    cases=[
        Case("numpy", "matmul", quick=True, goal_slowdown=1.2),
        Case("torch", "matmul", quick=True, goal_slowdown=1.2, packages=("torch",)),
    ],
    peers={OWN: peer(own_call), "sleep": peer(sleep)},
    notes=(
        f"A cycle: {MATMULS} float32 matmuls of size {MATMUL_SIZE}, which are timed; then damped_inverse of "
        f"{FACTORS} factors of size {FACTOR_SIZE}, or (peer `sleep`) a sleep as long as that.",
    ),
)

if __name__ == "__main__":
    print_own_seconds()
