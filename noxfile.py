"""Chores, one command each: `nox -s tests`, `nox -s lint`, ... ; `nox` runs what CI runs."""

import os
import subprocess

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "sanitize", "smoke"]

# AUTO: the tests build the CUDA backend where a CUDA compiler is found. The other chores can do without.
CUDA = f"--config-settings=cmake.define.CURVBLAS_CUDA={os.environ.get('CURVBLAS_CUDA', 'AUTO')}"
NO_CUDA = "--config-settings=cmake.define.CURVBLAS_CUDA=OFF"

# NumPy's library: the workers of pytest take all cores, and its threads wait by spinning.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


@nox.session
def tests(session: nox.Session) -> None:
    """Install as a user does, and run the tests on every backend and instruction-set level of this machine."""
    session.install(".[test]", CUDA)
    session.run("pytest", "-n", "auto", *session.posargs, env=ONE_THREAD)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatters, linter, types."""
    session.install(".[lint,demo,bench]", NO_CUDA)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy", "-p", "curvblas")  # as installed, with the examples
    session.run("mypy", "bench")
    patterns = [f"{folder}/*.{suffix}" for folder in ("csrc", "tests", "bench") for suffix in ("h", "cpp", "cu", "cuh")]
    sources = session.run("git", "ls-files", *patterns, external=True, silent=True)
    session.run("clang-format", "--dry-run", "--Werror", *sources.split())


@nox.session
def sanitize(session: nox.Session) -> None:
    """AddressSanitizer and UndefinedBehaviorSanitizer over the tests of the CPU backend, on its widest vectors.

    The instruction-set levels share their sources; the widest vectors reach farthest and want the most alignment.
    """
    options = ["cmake.define.CURVBLAS_SANITIZE=address,undefined", "build-dir=build/sanitize"]
    session.install(".[test]", NO_CUDA, *(f"--config-settings={option}" for option in options))
    runtime = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so")
    ]
    # Without libstdc++ first, the sanitizer cannot intercept exceptions that a preloaded Python throws through it.
    environment = {
        **ONE_THREAD,
        "LD_PRELOAD": " ".join(os.path.realpath(path) for path in runtime),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    print_levels = "from curvblas import _cpu; print(*_cpu.isa_levels())"
    levels = session.run("python", "-c", print_levels, env=environment, silent=True).split()
    narrower = " and ".join(f"not {level}" for level in levels[:-1])
    options = ["-p", "no:cacheprovider", "-m", "not emulated", "-k", narrower]
    session.run("pytest", "-n", "auto", *options, *session.posargs, env=environment)


@nox.session
def smoke(session: nox.Session) -> None:
    """All examples and the benchmarks in their short forms, with the tests of what the examples need."""
    session.install(".[demo,bench,test]", NO_CUDA)
    session.run("python", "-m", "curvblas", "demo", "--quick", "--output", session.create_tmp())
    session.run("python", "-m", "curvblas", "low-rank", "--quick", "--output", session.create_tmp())
    session.run("python", "-m", "curvblas", "quasi-newton", "--quick", "--output", session.create_tmp())
    session.run("python", "-m", "curvblas", "robustness", "--quick", "--output", session.create_tmp())
    session.run("python", "tests/identity_table.py", "--output", session.create_tmp())
    # Each method's example and the comparison of all optimisers run as tests, which look at what they leave.
    session.run("pytest", "-n", "auto", "-m", "not emulated", "-k", "examples or comparison", env=ONE_THREAD)
    session.run("python", "bench/run.py", "--quick", "--output", session.create_tmp())


@nox.session
def stubs(session: nox.Session) -> None:
    """Write the type stub of the extension module anew."""
    session.install(".", "pybind11-stubgen", NO_CUDA)
    session.run("pybind11-stubgen", "curvblas._cpu", "-o", "python")
