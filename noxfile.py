"""Chores, one command each: `nox -s tests`, `nox -s lint`, ... ; `nox` runs what CI runs."""

import os
import subprocess

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "sanitize", "smoke"]


@nox.session
def tests(session: nox.Session) -> None:
    """Install as a user does, and run the tests at every instruction-set level of this machine."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatters, linter, types."""
    session.install(".[lint,demo,bench]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy", "-p", "curvblas")  # as installed, with the examples
    session.run("mypy", "bench")
    sources = session.run("git", "ls-files", "csrc/*.h", "csrc/*.cpp", "bench/*.cpp", external=True, silent=True)
    session.run("clang-format", "--dry-run", "--Werror", *sources.split())


@nox.session
def sanitize(session: nox.Session) -> None:
    """AddressSanitizer and UndefinedBehaviorSanitizer over the tests of the CPU backend."""
    options = ["cmake.define.CURVBLAS_SANITIZE=address,undefined", "build-dir=build/sanitize"]
    session.install(".[test]", *(f"--config-settings={option}" for option in options))
    runtime = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so")
    ]
    # Without libstdc++ first, the sanitizer cannot intercept exceptions that a preloaded Python throws through it.
    environment = {
        "LD_PRELOAD": " ".join(os.path.realpath(path) for path in runtime),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    session.run("pytest", "-p", "no:cacheprovider", *session.posargs, env=environment)


@nox.session
def smoke(session: nox.Session) -> None:
    """The demo and the benchmarks, in their short forms."""
    session.install(".[demo,bench]")
    session.run("python", "-m", "curvblas", "demo", "--quick", "--output", session.create_tmp())
    session.run("python", "bench/run.py", "--quick", "--output", session.create_tmp())


@nox.session
def stubs(session: nox.Session) -> None:
    """Write the type stub of the extension module anew."""
    session.install(".", "pybind11-stubgen")
    session.run("pybind11-stubgen", "curvblas._cpu", "-o", "python")
