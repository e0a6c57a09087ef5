"""What several families share: topics, products and distances in float64 without a BLAS, and the best of ways."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from case import Case, Job, Peer

Vector: TypeAlias = NDArray[np.float64]
Way: TypeAlias = Callable[[], object]

TRIALS = 3
LONG_SECONDS = 0.5  # one trial tells enough of a way that takes so long


class Topic(NamedTuple):
    """A part of a family: its cases, and for each peer that can do them what makes a job of one."""

    cases: Sequence[Case]
    peers: Mapping[str, Callable[[Case], Job]]


def topic(pairs: Sequence[tuple[Case, Sequence[Any]]], kinds: Mapping[str, Callable[..., Any]]) -> Topic:
    """Make a topic of cases with their arguments, of which the class of a peer makes what has a job."""
    arguments = {case.name: given for case, given in pairs}

    def maker(kind: Callable[..., Any]) -> Callable[[Case], Job]:
        def job(case: Case) -> Job:
            made: Job = kind(*arguments[case.name]).job()
            return made

        return job

    return Topic([case for case, _ in pairs], {name: maker(kind) for name, kind in kinds.items()})


def peer(topics: Sequence[Topic], name: str, *packages: str) -> Peer:
    """Make a peer that finds the topic of a case."""

    def job(case: Case) -> Job:
        found = next(topic for topic in topics if case in topic.cases)
        return found.peers[name](case)

    return Peer(job, packages)


def power(n: int) -> str:
    """Write a power of ten."""
    return f"{n:.0e}".replace("e+0", "e")


def jax_in_float64() -> Any:
    """Import JAX for stacks of small factorisations, with a pool in which they do not wait for each other."""
    # With as many threads as cores (two), two in eight runs over 1,000 matrices of size 16 never came back; with four
    # times as many, and no threads of SciPy's OpenBLAS beside them, none of eight, at the same speed (jaxlib 0.10.2).
    os.environ["NPROC"] = str(4 * int(os.environ["OMP_NUM_THREADS"]))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return jax


def times(matrix: object, vector: Vector) -> Vector:
    """Multiply in float64 without a BLAS, whose threads would disturb the peer that is timed next."""
    product: Vector = np.einsum("ij,j->i", np.asarray(matrix), vector)
    return product


def distance(got: Vector, expected: Vector) -> float:
    """Return the relative error in the 2-norm."""
    return math.sqrt(float(np.sum((got - expected) ** 2) / np.sum(expected**2)))


def worst(errors: Sequence[float]) -> float:
    """Return the largest error; NaN if any is NaN, which ``max`` would hide."""
    return float(np.max(np.asarray(errors)))


def fastest(ways: Sequence[Way]) -> Way:
    """Return the fastest of several ways to the same result, tried here and now: a peer is measured at its best."""
    if len(ways) == 1:
        return ways[0]
    best = [trial(way) for way in ways]
    return ways[best.index(min(best))]


def trial(way: Way) -> float:
    """Return the shortest time of some calls, or of the first where it is long."""
    first = seconds(way)
    return first if first > LONG_SECONDS else min(first, *(seconds(way) for _ in range(TRIALS - 1)))


def seconds(way: Way) -> float:
    """Time one call."""
    start = time.perf_counter()
    way()
    return time.perf_counter() - start
