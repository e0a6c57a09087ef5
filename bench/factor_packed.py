"""The packed form: lower triangles of a group, row by row, in one flat buffer, and back to full storage."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Case, Check, Job
from factor_batch import RunningFactor
from factor_peers import mirror
from groups import GROUPS
from jobs import Topic, Way, fastest

Matrix = NDArray[np.float32]

COPY_GOAL = 0.8  # of the copy bandwidth
ONE = "one matrix, n=4096"
BATCHES = {
    ONE: [4096],
    "resnet50": [n for layer in GROUPS["resnet50"]() for n in (layer.in_features, layer.out_features)],
}


@lru_cache(maxsize=1)
def matrices_of(group: str) -> list[Matrix]:
    """Write the matrices of a group, the same in every process; exactly symmetric."""
    rng = np.random.default_rng(20)
    result = []
    for n in BATCHES[group]:
        C = np.empty((n, n), np.float32)
        RunningFactor(rng, n).start(C)
        result.append(C)
    return result


def triangle(n: int) -> int:
    """Return the length of the packed form."""
    return n * (n + 1) // 2


class Packing:
    """Both directions; a peer lists its ways. All buffers are written beforehand."""

    def __init__(self, group: str) -> None:
        self.load()
        self.expected = matrices_of(group)
        self.sizes = [len(C) for C in self.expected]
        ends = np.cumsum([triangle(n) for n in self.sizes])
        self.parts = [slice(end - triangle(n), end) for n, end in zip(self.sizes, ends.tolist(), strict=True)]
        self.flat_array = np.ones(self.parts[-1].stop, np.float32)
        self.matrix_arrays = [np.ones_like(C) for C in self.expected]

    def load(self) -> None:
        """Import the library and tell it its threads."""

    def array(self, values: NDArray[Any]) -> Any:
        """Hand an array to the library."""
        return values

    def pack_ways(self) -> Sequence[Way]:
        """List the ways from ``matrices`` to ``flat``."""
        raise NotImplementedError

    def unpack_ways(self) -> Sequence[Way]:
        """List the ways from ``flat`` to ``matrices``."""
        raise NotImplementedError

    def pack_job(self) -> Job:
        """Pack, compare every row."""
        self.matrices, self.flat = [self.array(C) for C in self.expected], self.array(self.flat_array)
        way = fastest(self.pack_ways())
        self.flat_array.fill(0)
        return Job(way, lambda: [Check("pack", max(self.row_errors()), 0.0)])

    def unpack_job(self) -> Job:
        """Unpack what rows were packed one by one, compare all."""
        for C, part in zip(self.expected, self.parts, strict=True):
            pack_rows(C, self.flat_array[part])
        self.matrices, self.flat = [self.array(C) for C in self.matrix_arrays], self.array(self.flat_array)
        way = fastest(self.unpack_ways())
        for C in self.matrix_arrays:
            C.fill(0)
        return Job(way, lambda: [Check("unpack", max(self.matrix_errors()), 0.0)])

    def row_errors(self) -> list[float]:
        """Return 1 for each matrix that is not packed bit by bit."""
        packed = np.asarray(self.flat)
        tasks = zip(self.expected, self.parts, strict=True)
        return [float(not np.array_equal(packed[part], C[np.tri(len(C), dtype=bool)])) for C, part in tasks]

    def matrix_errors(self) -> list[float]:
        """Return 1 for each matrix that is not there bit by bit."""
        tasks = zip(self.expected, self.matrices, strict=True)
        return [float(not np.array_equal(np.asarray(X), C)) for C, X in tasks]


class Curvblas(Packing):
    """One call for the group."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def pack_ways(self) -> Sequence[Way]:
        """One call."""
        return [lambda: self.cb.pack_symmetric(self.matrices, out=self.flat)]

    def unpack_ways(self) -> Sequence[Way]:
        """One call."""
        return [lambda: self.cb.unpack_symmetric(self.flat, self.sizes, out=self.matrices)]


class Each(Packing):
    """A peer that takes one matrix after the other."""

    def each(self, work: Callable[..., object], *data: Sequence[Any]) -> Way:
        """Make a way of what is done to a matrix and its part of the flat buffer, with data made beforehand."""
        tasks = [*zip(self.matrices, [self.flat[part] for part in self.parts], *data, strict=True)]

        def way() -> None:
            for task in tasks:
                work(*task)

        return way

    def indices(self) -> list[Any]:
        """Return where the lower triangle lies in each matrix, in the order of rows."""
        return [self.array(np.flatnonzero(np.tri(n, dtype=bool))) for n in self.sizes]


class Numpy(Each):
    """Rows in a loop, or precomputed indices."""

    def pack_ways(self) -> Sequence[Way]:
        """Slices of rows, or `numpy.take`, which is `numpy.tril_indices` with half the indices to read."""
        take = self.each(lambda C, flat, index: np.take(C.ravel(), index, out=flat, mode="clip"), self.indices())
        return [self.each(pack_rows), take]

    def unpack_ways(self) -> Sequence[Way]:
        """Slices of rows or indices, and the mirror image."""

        def put(C: Matrix, flat: Matrix, index: NDArray[np.int64]) -> None:
            C.ravel()[index] = flat
            mirror(C.T)

        return [self.each(unpack_rows), self.each(put, self.indices())]


class Scipy(Each):
    """LAPACK's TRTTP and TPTTR; they see the transposed arrays, so their upper triangle is our lower one."""

    def load(self) -> None:
        """Import LAPACK."""
        self.lapack: Any = importlib.import_module("scipy.linalg.lapack")

    def pack_ways(self) -> Sequence[Way]:
        """Make a packed array, copy it to its place."""
        return [self.each(lambda C, flat: np.copyto(flat, self.lapack.strttp(C.T, uplo="U")[0]))]

    def unpack_ways(self) -> Sequence[Way]:
        """Make one triangle, then the mirror image; the new arrays are the result."""

        def way() -> None:
            tasks = zip(self.sizes, self.parts, strict=True)
            self.matrices = [self.lapack.stpttr(n, self.flat[part], uplo="U")[0].T for n, part in tasks]
            for C in self.matrices:
                mirror(C.T)

        return [way]


class Torch(Each):
    """Rows put together, or precomputed indices."""

    def load(self) -> None:
        """Import PyTorch."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def array(self, values: NDArray[Any]) -> Any:
        """Share the array's memory."""
        return self.torch.from_numpy(values)

    def pack_ways(self) -> Sequence[Way]:
        """`cat` of rows, or `take`."""

        def rows(C: Any, flat: Any) -> None:
            self.torch.cat([row[: i + 1] for i, row in enumerate(C.unbind())], out=flat)

        take = self.each(lambda C, flat, index: self.torch.take(C, index, out=flat), self.indices())
        return [self.each(rows), take]

    def unpack_ways(self) -> Sequence[Way]:
        """Put the triangle by index and add its mirror image, or take both triangles by index."""

        def put(C: Any, flat: Any, index: Any) -> None:
            C.view(-1)[index] = flat
            lower = C.tril()
            self.torch.add(lower, lower.tril(-1).t(), out=C)

        take = self.each(lambda C, flat, index: self.torch.take(flat, index, out=C), self.square_indices())
        return [self.each(put, self.indices()), take]

    def square_indices(self) -> list[Any]:
        """Return where each element of each matrix lies in the packed form."""
        result = []
        for n in self.sizes:
            i = np.arange(n)
            high, low = np.maximum.outer(i, i), np.minimum.outer(i, i)
            result.append(self.array(high * (high + 1) // 2 + low))
        return result


def pack_rows(C: Matrix, flat: Matrix) -> None:
    """Copy row after row."""
    start = 0
    for i, row in enumerate(C, start=1):
        flat[start : start + i] = row[:i]
        start += i


def unpack_rows(C: Matrix, flat: Matrix) -> None:
    """Copy row after row, then the mirror image."""
    start = 0
    for i, row in enumerate(C, start=1):
        row[:i] = flat[start : start + i]
        start += i
    mirror(C.T)


PEERS: dict[str, type[Packing]] = {"curvblas": Curvblas, "numpy": Numpy, "scipy": Scipy, "torch": Torch}


def maker(kind: type[Packing]) -> Callable[[Case], Job]:
    """Make what makes a job of a case."""

    def job(case: Case) -> Job:
        packing = kind(case.group)
        return packing.pack_job() if case.operation == "pack" else packing.unpack_job()

    return job


def cases() -> list[Case]:
    """List both directions for one matrix and for a network: read a triangle, write it or the square."""
    result = []
    for group, sizes in BATCHES.items():
        packed, full = sum(4.0 * triangle(n) for n in sizes), sum(4.0 * n**2 for n in sizes)
        for operation, written in (("pack", packed), ("unpack", full)):
            case = Case(
                group,
                operation,
                traffic=packed + written,
                bandwidth="copy",
                quick=group == ONE,
                peers=tuple(PEERS),
                goal_share=COPY_GOAL,
            )
            result.append(case)
    return result


TOPIC = Topic(cases(), {name: maker(kind) for name, kind in PEERS.items()})
