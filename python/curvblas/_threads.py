"""How many threads the pool starts with, and who else may set them."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ENVIRONMENT_VARIABLE = "CURVBLAS_NUM_THREADS"
# What OpenBLAS from PyPI is built for: it warns of crashes when more threads call it at once.
MOST_THREADS = 64


def default_num_threads() -> int:
    """Return the number from the environment, else what affinity and control groups leave to this process.

    Returns
    -------
    int >= 1

    Raises
    ------
    ValueError
        The environment variable is no integer in 1 ... 64.
    """
    wanted = os.environ.get(ENVIRONMENT_VARIABLE)
    if wanted is None:
        return min(_cores_by_affinity(), _cores_by_cgroup(), MOST_THREADS)
    if not wanted.strip().isdecimal() or not 1 <= int(wanted) <= MOST_THREADS:
        raise ValueError(f"{ENVIRONMENT_VARIABLE} must be an integer in 1 ... {MOST_THREADS}, got {wanted!r}")
    return int(wanted)


def _cores_by_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cores_by_cgroup(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the CPU quota of this process's control groups (v2, then v1), rounded up."""
    quotas: list[float] = []
    try:
        for line in proc.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                # In version 2 every ancestor's limit holds.
                group = root / path.lstrip("/")
                quotas += [_quota_v2(folder / "cpu.max") for folder in (group, *group.parents)]
            elif "cpu" in controllers.split(","):
                quotas += [_quota_v1(root / "cpu" / path.lstrip("/")), _quota_v1(root / "cpu")]
    except (OSError, ValueError):
        pass  # no control groups here, or none that can be read: affinity alone counts
    return max(1, -int(-min(quotas, default=float(1 << 20)) // 1))


def _quota_v2(file: Path) -> float:
    if not file.is_file():
        return float(1 << 20)
    quota, period = file.read_text().split()
    return float(1 << 20) if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float:
    quota_file = folder / "cpu.cfs_quota_us"
    if not quota_file.is_file():
        return float(1 << 20)
    quota = int(quota_file.read_text())
    return float(1 << 20) if quota <= 0 else quota / int((folder / "cpu.cfs_period_us").read_text())


def register_with_threadpoolctl(backend: ModuleType) -> None:
    """Let threadpoolctl see and limit the pool, where it was imported before this package."""
    threadpoolctl: Any = sys.modules.get("threadpoolctl")
    if threadpoolctl is None:
        return

    class PoolController(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = "curvblas"
        internal_api = "curvblas"
        filename_prefixes = ("_cpu.",)
        check_symbols = ("curvblas_get_num_threads",)

        def get_num_threads(self) -> int:
            return int(backend.get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            backend.set_num_threads(num_threads)

        def get_version(self) -> None:
            return None

    threadpoolctl.register(PoolController)
