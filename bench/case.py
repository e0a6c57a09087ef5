"""What a family of benchmarks declares: its cases, its peers, and the job that a peer makes of a case."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

OWN = "curvblas"


class Check(NamedTuple):
    """One comparison with the float64 oracle; written so that a NaN is not right either."""

    what: str
    error: float
    tolerance: float

    @property
    def right(self) -> bool:
        """Whether the answer may be timed."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Job:
    """One case as one peer does it.

    Parameters
    ----------
    call : callable
        The work to be timed.
    verify : callable
        Compares what the *first* call left behind with the oracle. It must not enter a BLAS: threads that
        NumPy wakes for the oracle would still spin while another library is timed.
    times_itself : bool
        ``call`` returns the seconds that count, because only a part of it does.
    """

    call: Callable[[], object]
    verify: Callable[[], Sequence[Check]]
    times_itself: bool = False


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Parameters
    ----------
    group, operation : str
        Cases of one group share a worker process and the data that it builds.
    flops, traffic : float
        Least work: floating-point operations of the symmetric algorithm, and bytes with every operand moved
        once; 0 where a share of the machine's limit says nothing.
    bandwidth : str
        The limit of the traffic: ``read``, or ``copy`` where about as much is written as read.
    quick : bool
        Part of ``--quick``.
    packages : tuple of str
        What the case needs beyond the packages of the peer.
    peers : tuple of str, optional
        Only these peers can do it.
    goal_seconds, goal_slowdown : float, optional
        Our time should be below the first; our time over the best peer's below the second.
    goal_slowdowns : mapping of str to float
        The same against peers by name.
    goal_share, goal_fma : float, optional
        The share of the bandwidth to be reached, and of the multiply-adds.
    """

    group: str
    operation: str
    flops: float = 0.0
    traffic: float = 0.0
    bandwidth: str = "read"
    dtype: str = "float32"
    quick: bool = False
    packages: tuple[str, ...] = ()
    peers: tuple[str, ...] | None = None
    goal_seconds: float | None = None
    goal_slowdown: float | None = None
    goal_slowdowns: Mapping[str, float] = field(default_factory=dict)
    goal_share: float | None = None
    goal_fma: float | None = None

    @property
    def name(self) -> str:
        """The name in tables and results, unique in its family."""
        return f"{self.group}/{self.operation}"


@dataclass(frozen=True)
class Peer:
    """A library, or a way of using it.

    Parameters
    ----------
    job : callable
        Prepares a case.
    packages : tuple of str
        What must be importable, or installed.
    native : str
        The C++ source that is compiled for it (see `native`), which may lack a header here.
    """

    job: Callable[[Case], Job]
    packages: tuple[str, ...] = ()
    native: str = ""


@dataclass(frozen=True)
class Family:
    """Cases that are measured and reported together; ``notes`` stand under the table, ``ratio`` under the plot."""

    title: str
    cases: Sequence[Case]
    peers: Mapping[str, Peer]
    notes: Sequence[str] = ()
    ratio: str = f"time of the peer / time of {OWN}   (right of 1x: {OWN} is faster)"


def is_own(peer: str) -> bool:
    """Tell whether a peer is ourselves, or ourselves on other input (`curvblas_float32`): no rival, a yardstick."""
    return peer.partition("_")[0] == OWN


def environment(threads: int) -> dict[str, str]:
    """Give every library the same number of threads, in its own way (NPROC: JAX, whose pool knows no other)."""
    names = ("CURVBLAS_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    return dict.fromkeys(names, str(threads))


def missing(packages: Sequence[str]) -> list[str]:
    """Return those of the packages that are not there (none of them is imported)."""
    return [package for package in packages if importlib.util.find_spec(package) is None and not installed(package)]


def installed(package: str) -> bool:
    """Tell whether there is a distribution of this name: MKL's has libraries, and no module."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
