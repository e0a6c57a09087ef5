"""Fixtures: every kernel test runs on every backend and instruction-set level that this machine has."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

import curvblas as cb
from curvblas import _cpu

import backends
import emulation

CPU = [f"cpu-{level}" for level in _cpu.isa_levels()]
# The checked one first: what it reports may end the process in the other one.
EMULATED = {"emu-checked": "_emu_checked", "emu": "_emu"}
EMULATED_PARAMETERS = [pytest.param(name, marks=pytest.mark.emulated) for name in EMULATED]
CUDA = ["cuda"] if cb.info()["backends"]["cuda"].startswith("usable") else []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the emulation before the first test that needs it: it takes longer than a test may, and should be seen."""
    needed = any(item.get_closest_marker("emulated") for item in session.items)
    if not needed or session.config.option.collectonly or not emulation.is_stale():
        return
    session.config.get_terminal_writer().line("building the emulation in build/emu ...")
    with contextlib.suppress(RuntimeError):  # the tests that need it raise it again
        emulation.built()


def _backend(name: str) -> backends.Cpu | backends.Device:
    if name in EMULATED:
        return backends.Device(name, emulation.load(EMULATED[name]))
    if name == "cuda":
        from curvblas import _cuda

        return backends.Device(name, _cuda)
    return backends.Cpu(name.removeprefix("cpu-"))


@pytest.fixture(params=[*CPU, *EMULATED_PARAMETERS, *CUDA])
def backend(request: pytest.FixtureRequest) -> Iterator[backends.Cpu | backends.Device]:
    """Return the public functions on the backend under test."""
    before = _cpu.isa()
    yield _backend(request.param)
    _cpu.set_isa(before)


@pytest.fixture(params=CPU)
def cpu(request: pytest.FixtureRequest) -> Iterator[backends.Cpu]:
    """Return the public functions on a level of the CPU, for what only the CPU has."""
    before = _cpu.isa()
    yield _backend(request.param)
    _cpu.set_isa(before)


@pytest.fixture(params=EMULATED_PARAMETERS)
def emulated(request: pytest.FixtureRequest) -> backends.Device:
    """Return the public functions on an emulated device, for what only the emulator can tell."""
    return _backend(request.param)


@pytest.fixture(params=[*EMULATED_PARAMETERS, *CUDA])
def device(request: pytest.FixtureRequest) -> backends.Device:
    """Return the public functions on a device, emulated or real, for what takes it longer than the CPU."""
    return _backend(request.param)


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    before = cb.get_num_threads()
    yield
    cb.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed."""
    return np.random.default_rng(20150322)
