"""The emulated backend: built from the source tree, once per content of csrc/ and tests/emu/, into build/emu."""

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "emu" / f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"


def _content() -> str:
    digest = hashlib.sha256()
    for folder in (ROOT / "csrc", ROOT / "tests" / "emu"):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _run(*command) -> None:
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, errors="replace", timeout=1800, check=False
    )
    if result.returncode:
        output = result.stdout[-8000:] + result.stderr[-4000:]
        raise RuntimeError(f"building the emulation failed: {' '.join(map(str, command))}\n{output}")


_failure: list[RuntimeError] = []


def is_stale() -> bool:
    """Tell whether the next use builds."""
    stamp = FOLDER / "content"
    return not stamp.is_file() or stamp.read_text() != _content()


@functools.cache
def built() -> Path:
    """Build what is not built yet; return the folder of the modules. A failed build is not repeated."""
    if _failure:
        raise _failure[0]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _one_process_at_a_time():
        if is_stale():
            content = _content()
            try:
                _build()
            except RuntimeError as error:
                _failure.append(error)
                raise
            (FOLDER / "content").write_text(content)
    return FOLDER


@contextlib.contextmanager
def _one_process_at_a_time():
    """Keep out the other workers of ``pytest -n``; they find what the first one built."""
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build() -> None:
    import cmake
    import ninja
    import pybind11

    program = Path(cmake.CMAKE_BIN_DIR) / "cmake"
    options = [
        f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    ]
    _run(program, "-S", ROOT / "csrc" / "emu", "-B", FOLDER, "-G", "Ninja", *options)
    _run(program, "--build", FOLDER, "--parallel", os.cpu_count() or 1)


@functools.cache
def load(name: str):
    """Import one of the modules, as a submodule of the package: so its arrays name it as their backend."""
    (path,) = built().glob(f"{name}.*.so")
    full_name = f"curvblas.{name}"
    spec = importlib.util.spec_from_file_location(full_name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[full_name] = module
    return module
