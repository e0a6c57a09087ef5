"""The peers that invert: NumPy, SciPy, PyTorch, JAX, MKL (three ways), OpenBLAS, Eigen and curvblas."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import native
import solver_peers
from case import Check
from factor_peers import mirror
from jobs import Way, distance, times, worst
from matrices import Matrices
from solver_peers import Solver

DAMPING = 1e-2
TOLERANCES = {"float32": 1e-3, "float64": 1e-11}  # about ten times what a sound answer shows here
LARGE = 512  # from here a library's own threads beat one matrix a thread


class Inverse(Solver):
    """``(C + damping I)^-1`` of every matrix; a peer says how."""

    def __init__(self, problem: Matrices) -> None:
        super().__init__(problem)
        self.X = self.group(self.out)

    def one(self, C: Any, out: Any) -> Any:
        """Invert one matrix or one stack, into ``out`` where the library can."""
        raise NotImplementedError

    def every(self) -> None:
        """Invert all."""
        self.X = [self.one(C, out) for C, out in zip(self.C, self.X, strict=True)]

    def answers(self) -> list[NDArray[Any]]:
        """Return what the last call left, one matrix each."""
        return self.members(self.X)

    def check(self) -> Check:
        """Apply ``C + damping I`` to ``X v``, which must give ``v`` again, for every matrix."""
        errors = []
        for C, X, v in zip(self.problem.each, self.answers(), self.problem.probes, strict=True):
            u = times(X, v)
            errors.append(distance(times(C, u) + DAMPING * u, v))
        return Check("inverse", worst(errors), TOLERANCES[self.dtype])


class Curvblas(solver_peers.Curvblas, Inverse):
    """One call for all."""

    def every(self) -> None:
        """Invert all in one call."""
        self.cb.damped_inverse(self.problem.argument, DAMPING, out=self.out.argument)


class CurvblasNewton(Curvblas):
    """The same by Newton-Schulz steps, from the inverses of the problem before it changed."""

    def load(self) -> None:
        """Invert the problem that was."""
        super().load()
        before = self.problem.before
        assert before is not None
        self.start = self.cb.damped_inverse(before.argument, DAMPING)

    def every(self) -> None:
        """Invert all in one call."""
        self.cb.damped_inverse(
            self.problem.argument, DAMPING, method="newton", warm_start=self.start, out=self.out.argument
        )


class Numpy(Inverse):
    """``linalg.inv``: LU in float64, whatever the input."""

    def one(self, C: Any, out: Any) -> Any:
        """Add a damped identity, invert."""
        return np.linalg.inv(C + DAMPING * np.eye(C.shape[-1], dtype=C.dtype))


class Scipy(Inverse):
    """SciPy's LAPACK, one matrix after the other; it sees the transposed arrays."""

    mirrored = True

    def load(self) -> None:
        """Import LAPACK; its threads are OpenBLAS's."""
        lapack: Any = importlib.import_module("scipy.linalg.lapack")
        letter = native.letter(self.dtype)
        self.potrf, self.potri = getattr(lapack, f"{letter}potrf"), getattr(lapack, f"{letter}potri")

    def one(self, C: Any, out: Any) -> Any:
        """POTRF and POTRI, then the mirror image, of each matrix."""
        np.copyto(out, C)
        stack = out[None] if out.ndim == 2 else out
        for X in stack:
            X.ravel()[:: len(X) + 1] += DAMPING
            L, failed_minor = self.potrf(X.T, lower=1, clean=0, overwrite_a=1)
            if failed_minor:
                raise np.linalg.LinAlgError(f"the leading minor {failed_minor} is not positive definite")
            self.potri(L, lower=1, overwrite_c=1)
            if self.mirrored:
                mirror(X)
        return out


class ScipyTriangle(Scipy):
    """The same without the mirror image: less than what all others do."""

    mirrored = False

    def answers(self) -> list[NDArray[Any]]:
        """Complete the matrices for the check."""
        return [np.triu(X) + np.triu(X, 1).T for X in super().answers()]


class Torch(solver_peers.Torch, Inverse):
    """PyTorch: Cholesky and the inverse from it, or LU; both in batches."""

    def one(self, C: Any, out: Any) -> Any:
        """Cholesky of a damped copy, then the inverse from it."""
        return self.torch.cholesky_inverse(self.torch.linalg.cholesky_ex(self.damped(C)).L, out=out)

    def by_lu(self) -> None:
        """Invert all as general matrices."""
        inv = self.torch.linalg.inv_ex
        self.X = [inv(self.damped(C)).inverse for C in self.C]

    def damped(self, C: Any) -> Any:
        """Return a damped copy."""
        copy = C.clone()
        copy.diagonal(dim1=-2, dim2=-1).add_(DAMPING)
        return copy

    def ways(self) -> Sequence[Way]:
        """Either."""
        return [self.every, self.by_lu]


class Jax(solver_peers.Jax, Inverse):
    """JAX, compiled: Cholesky and a solve, or LU."""

    def load(self) -> None:
        """Import JAX and wrap both ways."""
        super().load()
        self.by_cholesky = self.jax.jit(self.cholesky)
        self.by_inv = self.jax.jit(lambda C: self.jax.numpy.linalg.inv(self.damped(C)))

    def damped(self, C: Any) -> Any:
        """Return a damped copy."""
        return C + DAMPING * self.jax.numpy.eye(C.shape[-1], dtype=C.dtype)

    def cholesky(self, C: Any) -> Any:
        """Factorise, and solve for the identity."""
        linalg = self.jax.scipy.linalg
        eye = self.jax.numpy.broadcast_to(self.jax.numpy.eye(C.shape[-1], dtype=C.dtype), C.shape)
        return linalg.cho_solve((self.jax.numpy.linalg.cholesky(self.damped(C)), True), eye)

    def one(self, C: Any, out: Any) -> Any:
        """Invert and wait."""
        return self.jax.block_until_ready(self.by_cholesky(C))

    def by_lu(self) -> None:
        """Invert all as general matrices."""
        self.X = self.jax.block_until_ready([self.by_inv(C) for C in self.C])

    def ways(self) -> Sequence[Way]:
        """Either."""
        return [self.every, self.by_lu]


class OpenBlas(solver_peers.Native, Inverse):
    """POTRF, POTRI and the mirror image: large matrices on the library's threads, others one a thread."""

    def load(self) -> None:
        """Load the library and the loop."""
        self.library = native.openblas()
        self.load_loop()

    def load_loop(self) -> None:
        """Compile the loop, and look up beforehand what it calls."""
        self.loop = native.compiled("native_loops", self.dtype).inverse_loop_of_real
        self.head = self.library.head(self.dtype, "potrf", "potri", large=LARGE)

    def every(self) -> None:
        """Invert all."""
        tail = (self.count, self.sizes, self.from_, native.double(DAMPING), self.to)
        self.checked(self.loop(*self.head, *tail))


class Mkl(OpenBlas):
    """The same with MKL; for stacks also its compact interface, by LU or by Cholesky."""

    def load(self) -> None:
        """Load the library and the loops."""
        self.library = native.mkl()
        self.load_loop()
        self.interleaved = native.compiled("native_compact", self.dtype).inverse_compact_of_real
        self.table = self.library.compact(self.dtype)
        self.library.functions.MKL_Set_Num_Threads(1)

    def compact(self, layout: int, cholesky: int) -> None:
        """Interleave, invert, and undo it."""
        head = (self.table, layout, cholesky, native.threads(), self.count, self.sizes[0])
        self.checked(self.interleaved(*head, self.from_, native.double(DAMPING), self.to))

    def ways(self) -> Sequence[Way]:
        """Take the loop, or the compact interface for many small ones."""
        if self.problem.stack is None or self.count == 1 or self.sizes[0] > 128:
            return [self.every]
        choices = itertools.product(self.library.formats(), (0, 1))
        return [self.every, *(functools.partial(self.compact, *choice) for choice in choices)]


class Eigen(solver_peers.Native, Inverse):
    """Eigen's LLT, or its 4 x 4 inverse."""

    def load(self) -> None:
        """Load the loop."""
        self.loop = native.compiled("native_eigen", self.dtype).eigen_inverse_of_real

    def every(self) -> None:
        """Invert all."""
        self.loop(native.threads(), self.count, self.sizes, self.from_, native.double(DAMPING), self.to)
