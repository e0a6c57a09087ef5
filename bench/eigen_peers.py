"""The peers that take matrices to their eigenvectors: NumPy, SciPy, PyTorch, JAX, MKL, OpenBLAS, Eigen and curvblas."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import native
import solver_peers
from case import Check
from jobs import Way, distance, times, worst
from matrices import Matrices
from solver_peers import Solver

TOLERANCES = {"float32": 2e-5, "float64": 5e-14}  # about ten times what a sound answer shows here
NEVER = 1 << 30  # rows of a matrix for which a library uses its own threads, where there are enough matrices for ours


class Spectrum(Solver):
    """``C = V diag(values) V^T`` of every matrix, the eigenvectors as columns; a peer says how."""

    values: list[Any]
    vectors: list[Any]

    def one(self, C: Any) -> tuple[Any, Any]:
        """Return eigenvalues and eigenvectors of one matrix or one stack."""
        raise NotImplementedError

    def every(self) -> None:
        """Decompose all."""
        pairs = [self.one(C) for C in self.C]
        self.values, self.vectors = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def answers(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return values and vectors that the last call left, one matrix each."""
        return self.members(self.values), self.members(self.vectors)

    def check(self) -> Check:
        """Compare ``C (V v)`` with ``V (values v)``, relative to the norm of C, and ``V^T (V v)`` with v."""
        errors = []
        for C, w, V, v in zip(self.problem.each, *self.answers(), self.problem.probes, strict=True):
            u = times(V, v)
            errors.append(distance(times(V.T, u), v))
            scale = float(np.abs(w).max()) * np.sqrt(np.sum(v**2))
            errors.append(float(np.sqrt(np.sum((times(C, u) - times(V, w * v)) ** 2))) / scale)
        return Check("eigenbasis", worst(errors), TOLERANCES[self.dtype])


class Curvblas(solver_peers.Curvblas, Spectrum):
    """One call for all, without a start."""

    def one(self, C: Any) -> tuple[Any, Any]:
        """Decompose in one call."""
        basis = self.cb.eigenbasis(C)
        return basis.values, basis.vectors


class CurvblasWarm(solver_peers.Curvblas, Spectrum):
    """The same, from the basis of the problem before it changed."""

    def load(self) -> None:
        """Decompose the problem that was."""
        super().load()
        before = self.problem.before
        assert before is not None
        self.start = self.cb.eigenbasis(before.argument)

    def one(self, C: Any) -> tuple[Any, Any]:
        """Decompose in one call."""
        basis = self.cb.eigenbasis(C, warm_start=self.start)
        return basis.values, basis.vectors


class Numpy(Spectrum):
    """``linalg.eigh``."""

    def one(self, C: Any) -> tuple[Any, Any]:
        """Decompose one matrix or one stack."""
        values, vectors = np.linalg.eigh(C)
        return values, vectors


class Scipy(Spectrum):
    """SciPy's LAPACK, one matrix after the other: SYEVD or SYEVR; it sees the transposed arrays."""

    def load(self) -> None:
        """Import LAPACK; its threads are OpenBLAS's."""
        lapack: Any = importlib.import_module("scipy.linalg.lapack")
        letter = native.letter(self.dtype)
        self.syevd, self.syevr = getattr(lapack, f"{letter}syevd"), getattr(lapack, f"{letter}syevr")

    def by(self, solver: Any) -> None:
        """Decompose all with one of both."""
        results = [solver(C.T, lower=1) for C in self.problem.each]
        if any(info for *_, info in results):
            raise np.linalg.LinAlgError("no convergence")
        self.each = [(values, vectors) for values, vectors, *_ in results]

    def ways(self) -> Sequence[Way]:
        """Either."""
        return [lambda: self.by(self.syevd), lambda: self.by(self.syevr)]

    def answers(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return what the last call left."""
        return [values for values, _ in self.each], [vectors for _, vectors in self.each]


class Torch(solver_peers.Torch, Spectrum):
    """PyTorch's ``linalg.eigh``."""

    def one(self, C: Any) -> tuple[Any, Any]:
        """Decompose one matrix or one stack."""
        values, vectors = self.torch.linalg.eigh(C)
        return values, vectors


class Jax(solver_peers.Jax, Spectrum):
    """JAX's ``eigh``, compiled."""

    def load(self) -> None:
        """Import JAX and wrap it."""
        super().load()
        self.eigh = self.jax.jit(lambda C: self.jax.numpy.linalg.eigh(C, symmetrize_input=False))

    def one(self, C: Any) -> tuple[Any, Any]:
        """Decompose and wait."""
        values, vectors = self.jax.block_until_ready(self.eigh(C))
        return values, vectors


class Native(solver_peers.Native, Spectrum):
    """A C loop, which leaves the eigenvectors as rows."""

    def __init__(self, problem: Matrices) -> None:
        super().__init__(problem)
        self.w = [np.zeros(n, self.dtype) for n in problem.sizes]
        self.values_to = native.pointers(self.w)

    def answers(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Return what the last call left."""
        return self.w, [V.T for V in self.out.each]


class OpenBlas(Native):
    """SYEVD."""

    def load(self) -> None:
        """Load the library and the loop."""
        self.library = native.openblas()
        self.loop = native.compiled("native_loops", self.dtype).eigen_loop_of_real

    def every(self) -> None:
        """Decompose all, one matrix a thread."""
        self.by(large=NEVER)

    def by(self, *, large: int) -> None:
        """Decompose all; of ``large`` rows, on the library's threads."""
        head = self.library.head(self.dtype, "syevd", large=large)
        self.checked(self.loop(*head, self.count, self.sizes, self.from_, self.values_to, self.to))

    def ways(self) -> Sequence[Way]:
        """Take one thread a matrix; of a single matrix also the library's threads."""
        return [self.every] if self.count > 1 else [lambda: self.by(large=0), self.every]


class Mkl(OpenBlas):
    """The same with MKL."""

    def load(self) -> None:
        """Load the library and the loop."""
        super().load()
        self.library = native.mkl()


class Eigen(Native):
    """Eigen's SelfAdjointEigenSolver."""

    def load(self) -> None:
        """Load the loop."""
        self.loop = native.compiled("native_eigen", self.dtype).eigen_eigen_of_real

    def every(self) -> None:
        """Decompose all."""
        self.checked(self.loop(native.threads(), self.count, self.sizes, self.from_, self.values_to, self.to))
