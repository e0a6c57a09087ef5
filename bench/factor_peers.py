"""The peers that update factors: NumPy, SciPy, MKL, PyTorch (two ways), JAX and curvblas."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factor_batch import DECAY, Accumulation, RunningFactor
from jobs import Way

MIRROR_TILE = 128  # ``C + C.T`` in one piece took 8 times as long as tiles of 128 at n = 4608
MKL_GEMM_OF_HALVES = {"bfloat16": "cblas_gemm_bf16bf16f32", "float16": "cblas_gemm_f16f16f32"}


class Numpy(Accumulation):
    """NumPy alone; ``X.T @ X`` is a SYRK in NumPy."""

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """Multiply, then scale, decay and add."""
        X = single(X, bias)
        average(C, X.T @ X, len(X))


class Scipy(Accumulation):
    """SciPy's BLAS; it sees the transposed arrays, so its lower triangle is our upper one."""

    def load(self) -> None:
        """Import the BLAS."""
        self.blas: Any = importlib.import_module("scipy.linalg.blas")

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """SYRK with the moving average inside, then the mirror image."""
        X = single(X, bias)
        self.blas.ssyrk((1 - DECAY) / len(X), X.T, beta=DECAY, c=C.T, lower=1, overwrite_c=1)
        mirror(C)


class Mkl(Accumulation):
    """MKL's own C interface, from the package that Intel puts on PyPI."""

    ROW_MAJOR, PLAIN, TRANSPOSED, UPPER = 101, 111, 112, 121

    def load(self) -> None:
        """Load the library; it reads MKL_NUM_THREADS."""
        files = importlib.metadata.files("mkl") or []
        path = next(file.locate() for file in files if file.name.startswith("libmkl_rt."))
        self.mkl = ctypes.CDLL(os.path.realpath(str(path)))

    def syrk(self, C: Any, X: Any, alpha: float, beta: float, *, transposed: bool) -> None:
        """Set the upper triangle of ``C`` to ``beta C + alpha X^T X``, or ``X X^T`` unless transposed."""
        operation, depth = (self.TRANSPOSED, len(X)) if transposed else (self.PLAIN, X.shape[1])
        head = (self.ROW_MAJOR, self.UPPER, operation, len(C), depth)
        self.mkl.cblas_ssyrk(*head, ctypes.c_float(alpha), *matrix(X), ctypes.c_float(beta), *matrix(C))

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """SYRK with the moving average inside, then the mirror image."""
        X = single(X, bias)
        self.syrk(C, X, (1 - DECAY) / len(X), DECAY, transposed=True)
        mirror(C)

    def multiply_halves(self) -> None:
        """Multiply half-precision rows with float32 sums; there is no such SYRK, so this is the full square."""
        for C, X in zip(self.factors, self.rows, strict=True):
            gemm = getattr(self.mkl, MKL_GEMM_OF_HALVES[X.dtype.name])
            head = (self.ROW_MAJOR, self.TRANSPOSED, self.PLAIN, len(C), len(C), len(X))
            scale = ctypes.c_float((1 - DECAY) / len(X))
            gemm(*head, scale, *matrix(X), *matrix(X), ctypes.c_float(DECAY), *matrix(C))

    def ways(self) -> Sequence[Way]:
        """Convert halves and take SYRK, or multiply them as they are."""
        halves = all(X.dtype.name in MKL_GEMM_OF_HALVES for X in self.rows) and not any(self.bias)
        return [self.update_factors, self.multiply_halves] if halves else [self.update_factors]


class Torch(Accumulation):
    """PyTorch as well as it can be used: one product with the moving average inside."""

    def load(self) -> None:
        """Import PyTorch."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def array(self, values: NDArray[Any]) -> Any:
        """Share the array's memory; PyTorch does not know NumPy's bfloat16, which is a guest there too."""
        if values.dtype.name == "bfloat16":
            return self.torch.from_numpy(values.view(np.int16)).view(self.torch.bfloat16)
        return self.torch.from_numpy(values)

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """One product in place."""
        X = X.float()
        if bias:
            X = self.torch.cat([X, X.new_ones(len(X), 1)], dim=1)
        C.addmm_(X.t(), X, beta=DECAY, alpha=(1 - DECAY) / len(X))


class TorchKfac(Torch):
    """PyTorch as K-FAC packages write it: a scaled copy, and a pass for the moving average."""

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """Scale a copy of the rows, multiply, then decay and add."""
        if bias:
            X = self.torch.cat([X, X.new_ones(len(X), 1)], dim=1)
        moment = X.t() @ (X / len(X))
        C.mul_(DECAY).add_(moment, alpha=1 - DECAY)


class Jax(Accumulation):
    """JAX: one compiled function for the whole group, which gets the old factors' memory for the new ones."""

    def __init__(self, sources: Sequence[RunningFactor]) -> None:
        super().__init__(sources)
        shapes = [self.jax.ShapeDtypeStruct(C.shape, C.dtype) for C in self.factor_buffers]
        # Compiled beforehand: of a long case, the first call is what counts.
        self.compiled = self.jax.jit(self.updated, donate_argnums=0).lower(shapes, self.rows).compile()

    def load(self) -> None:
        """Import JAX; it reads NPROC."""
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_platforms", "cpu")

    def array(self, values: NDArray[Any]) -> Any:
        """Copy, for JAX owns its arrays."""
        return self.jax.numpy.array(values)

    def moment(self, X: Any, bias: bool) -> Any:
        """Return ``X^T X``."""
        X = X.astype(np.float32)
        if bias:
            X = self.jax.numpy.concatenate([X, self.jax.numpy.ones((len(X), 1), X.dtype)], axis=1)
        return X.T @ X

    def updated(self, factors: Sequence[Any], rows: Sequence[Any]) -> list[Any]:
        """Return the new factors."""
        tasks = zip(factors, rows, self.bias, strict=True)
        return [DECAY * C + (1 - DECAY) / len(X) * self.moment(X, bias) for C, X, bias in tasks]

    def update_factors(self) -> None:
        """Update all factors, and wait for them."""
        self.factors = self.jax.block_until_ready(self.compiled(self.factors, self.rows))


class Curvblas(Accumulation):
    """One call for all factors of the group."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def update_factors(self) -> None:
        """Update all factors in one call."""
        self.cb.update_factors(self.factors, self.rows, decay=DECAY, bias=self.bias)


class CurvblasFloat32(Curvblas):
    """The same on the same values in float32: the yardstick of half-precision rows."""

    def array(self, values: NDArray[Any]) -> Any:
        """Convert once, beforehand."""
        return np.asarray(values, np.float32)


def single(X: Any, bias: bool) -> Any:
    """Return the rows in float32, with a column of ones where there is a bias; a copy only where there must be one."""
    X = np.asarray(X, np.float32)
    return np.concatenate([X, np.ones((len(X), 1), X.dtype)], axis=1) if bias else X


def average(C: Any, moment: Any, cases: int) -> None:
    """Add a moment to the moving average; it is overwritten."""
    moment *= (1 - DECAY) / cases
    C *= DECAY
    C += moment


def matrix(X: NDArray[Any]) -> tuple[ctypes.c_void_p, int]:
    """Return what C wants to know of a contiguous matrix: where it is, and how long its rows are."""
    return ctypes.c_void_p(X.ctypes.data), X.shape[1]


def mirror(C: NDArray[np.float32]) -> None:
    """Copy the upper triangle to the lower one, tile by tile."""
    for i in range(0, len(C), MIRROR_TILE):
        rows = slice(i, i + MIRROR_TILE)
        corner = np.triu(C[rows, rows])
        C[rows, rows] = corner + np.triu(corner, 1).T
        for j in range(i + MIRROR_TILE, len(C), MIRROR_TILE):
            columns = slice(j, j + MIRROR_TILE)
            C[columns, rows] = C[rows, columns].T
