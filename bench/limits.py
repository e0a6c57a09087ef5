"""The machine's limits, measured beside the peers by `limits.cpp`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

# Well beyond every cache, so that the array is read from memory; a quarter of the memory on a small machine.
ARRAY_BYTES = 1 << 30


def compile_limits(directory: Path) -> bool:
    """Compile `limits.cpp` for this machine into the directory; False where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        return False
    options = ["-std=c++20", "-O3", "-march=native", "-pthread"]
    source = Path(__file__).with_name("limits.cpp")
    subprocess.run([compiler, *options, source, "-o", directory / "limits"], check=True)
    return True


def measure_limits(directory: Path, threads: int) -> dict[str, float]:
    """Run it once: flops a second in float32 and float64, bytes a second read and copied; empty if the run was void."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    command = [str(directory.resolve() / "limits"), str(threads), str(min(ARRAY_BYTES, memory // 4))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    limits: dict[str, float] = json.loads(done.stdout) if done.returncode == 0 else {}
    return limits


def best_of(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Take the best of the rounds: a limit is what was reached at least once."""
    names = {name for limits in rounds for name in limits}
    return {name: max(limits[name] for limits in rounds if name in limits) for name in sorted(names)}
