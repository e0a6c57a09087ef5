"""Fixtures: every kernel test runs on every backend and instruction-set level that this machine has."""

from collections.abc import Iterator

import numpy as np
import pytest

import curvblas as cb
from curvblas import _cpu


@pytest.fixture(params=[f"cpu-{level}" for level in _cpu.isa_levels()])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name the backend under test, and make it the one that runs."""
    before = _cpu.isa()
    _cpu.set_isa(request.param.removeprefix("cpu-"))
    yield request.param
    _cpu.set_isa(before)


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    before = cb.get_num_threads()
    yield
    cb.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed."""
    return np.random.default_rng(20150322)
