"""Groups of symmetric matrices for the benchmarks of solvers: stacks of one size, or lists of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groups import GROUPS

RANDOM_GROUP = ("500 of n = 4 ... 512", 500, 4, 512)


class Matrices:
    """Matrices in one contiguous stack, or in a list; ``damping`` is added to their diagonals.

    Attributes
    ----------
    each : list of arrays
        All matrices, the largest first: views of ``stack`` where there is one.
    stack : array or None
        The stack ``(count, n, n)``.
    """

    before: Matrices | None = None  # what they were, where they changed

    def __init__(self, each: Sequence[NDArray[Any]], stack: NDArray[Any] | None, seed: int = 20) -> None:
        self.each, self.stack = list(each), stack
        rng = np.random.default_rng(seed)
        self.probes = [rng.standard_normal(len(C)) for C in self.each]

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each."""
        return [len(C) for C in self.each]

    @property
    def dtype(self) -> np.dtype[Any]:
        """What all of them hold."""
        return self.each[0].dtype

    @property
    def argument(self) -> Any:
        """What a call of ours takes: a stack of one is a matrix."""
        if self.stack is None:
            return self.each
        return self.stack if len(self.stack) > 1 else self.stack[0]

    def empty(self) -> Matrices:
        """Return memory of the same form that was written once."""
        if self.stack is None:
            return Matrices([np.zeros_like(C) for C in self.each], None)
        stack = np.zeros_like(self.stack)
        stack.fill(1)
        return Matrices(list(stack), stack)


def plain(rng: np.random.Generator, n: int, dtype: str) -> NDArray[Any]:
    """Make ``diag(s)^2 + c c^T``: a spectrum that decays, one direction that dominates."""
    s = 1 / np.sqrt(np.arange(1.0, n + 1))
    c = s * rng.standard_normal(n)
    C: NDArray[Any] = np.multiply.outer(c, c)
    C.ravel()[:: n + 1] += s**2
    return C.astype(dtype)


def rotated(rng: np.random.Generator, n: int, dtype: str) -> NDArray[Any]:
    """Make ``Q diag(values) Q^T``, a spectrum that decays and no zero that a solver could skip, without a BLAS."""
    # Q is a product of reflections and Hartley transforms: O(n^2 log n), and no BLAS whose threads would spin on.
    values = rng.random(n) / np.arange(1.0, n + 1)
    C = np.diag(values)
    for _ in range(2):
        v = rng.standard_normal(n)
        v /= np.sqrt(np.sum(v**2))
        for _ in range(2):  # rows, then columns
            C = C - 2 * np.multiply.outer(v, np.einsum("i,ij->j", v, C))
            transform = np.fft.fft(C, axis=0)
            C = ((transform.real - transform.imag) / np.sqrt(n)).T
    symmetric: NDArray[Any] = np.tril(C).astype(dtype) + np.tril(C, -1).astype(dtype).T
    return symmetric


def stack_of(make: Callable[[np.random.Generator, int, str], NDArray[Any]], count: int, n: int, dtype: str) -> Matrices:
    """Draw a stack of equal sizes, the same in every process."""
    rng = np.random.default_rng(20)
    stack = np.stack([make(rng, n, dtype) for _ in range(count)])
    return Matrices(list(stack), stack)


def sizes_of(name: str) -> list[int]:
    """Return the sizes of all factors of a network, or random ones; the largest first."""
    if name in GROUPS:
        sizes = [n for layer in GROUPS[name]() for n in (layer.in_features, layer.out_features)]
    else:
        _, count, low, high = RANDOM_GROUP
        sizes = np.random.default_rng(20).integers(low, high + 1, count).tolist()
    return sorted(sizes, reverse=True)


def list_of(name: str, dtype: str) -> Matrices:
    """Draw a list of matrices of these sizes."""
    rng = np.random.default_rng(20)
    return Matrices([plain(rng, n, dtype) for n in sizes_of(name)], None)


def changed(before: Matrices, change: float) -> Matrices:
    """Return what a moving average makes of a stack: ``(1 - change) C + change R``, R as large and drawn anew."""
    assert before.stack is not None
    rng = np.random.default_rng(21)
    n, dtype = before.stack.shape[1], before.dtype.name
    drawn = np.stack([rotated(rng, n, dtype) for _ in before.each])
    stack = ((1 - change) * before.stack + change * drawn).astype(dtype)
    result = Matrices(list(stack), stack)
    result.before = before
    return result
