"""What a result must say about where it was measured."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

ISA_FLAGS = ("avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "avx2", "fma", "asimd", "sve")
LIBRARIES = ["curvblas", "scipy-openblas32", "numpy", "scipy", "torch", "jax", "jaxlib", "kfac-jax", "mkl", "ml_dtypes"]


def cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu() -> tuple[str, list[str]]:
    """Return the processor's name and those of its instruction sets that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor(), []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return fields.get("model name", platform.processor()), [flag for flag in ISA_FLAGS if flag in flags]


def seconds_of_others() -> float:
    """Return the processor seconds since boot that neither we nor our finished children used; Linux only."""
    try:
        fields = Path("/proc/stat").read_text().split(maxsplit=9)
    except OSError:
        return math.nan
    user, nice, system, _idle, _iowait, interrupts, soft_interrupts, steal = map(int, fields[1:9])
    busy = (user + nice + system + interrupts + soft_interrupts + steal) / os.sysconf("SC_CLK_TCK")
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return busy - sum(usage.ru_utime + usage.ru_stime for usage in ours)


def version(library: str) -> str | None:
    """Return the installed version, or None."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def revision() -> str:
    """Return the git revision, with ``+`` when tracked files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], stdout=PIPE, text=True, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed else "")


def own_info() -> str | None:
    """Return what ``python -m curvblas info`` prints: backends, instruction set in use, threads."""
    command = [sys.executable, "-m", "curvblas", "info"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def describe() -> dict[str, object]:
    """Return all of it, ready for JSON."""
    name, isa = cpu()
    return {
        "cpu": name,
        "isa": isa,
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in LIBRARIES},
        "curvblas_info": own_info(),
        "revision": revision(),
    }
