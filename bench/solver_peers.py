"""What the peers of all solvers share: one problem, the answer that the last call left, and how a library is loaded."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import native
from case import Check, Job
from jobs import Way, fastest
from matrices import Matrices

LONG_ROWS = 1024  # matrices of this size, and lists, are not tried in several ways: each would take seconds


class Solver:
    """What is done to every matrix of a problem; a peer says how."""

    def __init__(self, problem: Matrices) -> None:
        self.problem = problem
        self.dtype = problem.dtype.name
        self.out = problem.empty()
        self.load()
        self.C = self.group(problem)

    def load(self) -> None:
        """Import the library and tell it its threads."""

    def array(self, values: NDArray[Any]) -> Any:
        """Hand an array to the library, without a copy where it takes one so."""
        return values

    def group(self, matrices: Matrices) -> list[Any]:
        """Hand over a stack as one array, or each matrix of a list."""
        arrays = [matrices.argument] if matrices.stack is not None else matrices.each
        return [self.array(C) for C in arrays]

    def members(self, answers: Sequence[Any]) -> list[NDArray[Any]]:
        """Return the answers to a group as NumPy arrays, one a matrix."""
        if self.problem.stack is None:
            return [np.asarray(X) for X in answers]
        stack = np.asarray(answers[0])
        return list(stack) if len(self.problem.each) > 1 else [stack]

    def every(self) -> None:
        """Do all."""
        raise NotImplementedError

    def ways(self) -> Sequence[Way]:
        """List the ways in which the peer may do all of it; it is timed in the fastest."""
        return [self.every]

    def job(self) -> Job:
        """Make a job of the fastest way."""
        ways = self.ways()
        long = self.problem.stack is None or len(self.problem.each[0]) >= LONG_ROWS
        return Job(ways[0] if long else fastest(ways), lambda: [self.check()])

    def check(self) -> Check:
        """Compare with the oracle."""
        raise NotImplementedError


class Curvblas(Solver):
    """One call for all."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")


class Torch(Solver):
    """PyTorch, in batches."""

    def load(self) -> None:
        """Import PyTorch."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def array(self, values: NDArray[Any]) -> Any:
        """Share the array's memory."""
        return self.torch.from_numpy(values)


class Jax(Solver):
    """JAX, compiled, in batches."""

    def load(self) -> None:
        """Import JAX; it reads NPROC."""
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_platforms", "cpu")
        self.jax.config.update("jax_enable_x64", True)

    def array(self, values: NDArray[Any]) -> Any:
        """Copy, for JAX owns its arrays."""
        return self.jax.numpy.array(values)


class Native(Solver):
    """A C loop over the matrices; arrays of pointers are made beforehand."""

    def __init__(self, problem: Matrices) -> None:
        super().__init__(problem)
        self.count, self.sizes = len(problem.each), native.integers(problem.sizes)
        self.from_, self.to = native.pointers(problem.each), native.pointers(self.out.each)

    def checked(self, failed: int) -> None:
        """Raise where a matrix failed."""
        if failed:
            raise np.linalg.LinAlgError(f"{failed} matrices failed")
