"""The peers of `kfac_step`: the same step in NumPy, SciPy, PyTorch (two ways) and curvblas."""

from __future__ import annotations

import importlib
import itertools
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kfac_batch import DAMPING, DECAY, Batch, Step

MIRROR_TILE = 128  # ``C + C.T`` in one piece took 8 times as long as tiles of 128 at n = 4608


class Numpy(Step):
    """NumPy alone; ``X.T @ X`` is a SYRK in NumPy, ``linalg.inv`` an LU factorisation in float64."""

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """Multiply, then scale, decay and add."""
        if bias:
            X = np.concatenate([X, np.ones((len(X), 1), X.dtype)], axis=1)
        moment = X.T @ X
        moment *= (1 - DECAY) / len(X)
        C *= DECAY
        C += moment

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Invert a damped copy."""
        damped = C.copy()
        damped.ravel()[:: len(C) + 1] += damping
        return np.linalg.inv(damped)

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Two products."""
        return np.matmul(G_inv @ V, A_inv, out=out)


class Scipy(Step):
    """SciPy's BLAS and LAPACK; they see the transposed arrays, so their lower triangle is our upper one."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self.blas: Any = importlib.import_module("scipy.linalg.blas")
        self.lapack: Any = importlib.import_module("scipy.linalg.lapack")

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """SYRK with the moving average inside, then the mirror image."""
        if bias:
            X = np.concatenate([X, np.ones((len(X), 1), X.dtype)], axis=1)
        self.blas.ssyrk((1 - DECAY) / len(X), X.T, beta=DECAY, c=C.T, lower=1, overwrite_c=1)
        mirror(C)

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """POTRF and POTRI, then the mirror image."""
        np.copyto(out, C)
        out.ravel()[:: len(C) + 1] += damping
        L, failed_minor = self.lapack.spotrf(out.T, lower=1, clean=0, overwrite_a=1)
        if failed_minor:
            raise np.linalg.LinAlgError(f"the leading minor {failed_minor} is not positive definite")
        self.lapack.spotri(L, lower=1, overwrite_c=1)
        mirror(out)
        return out

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Two products, transposed: ``A_inv (V^T G_inv)``."""
        self.blas.sgemm(1.0, A_inv.T, self.blas.sgemm(1.0, V.T, G_inv.T), c=out.T, overwrite_c=1)
        return out


def mirror(C: NDArray[np.float32]) -> None:
    """Copy the upper triangle to the lower one, tile by tile."""
    for i in range(0, len(C), MIRROR_TILE):
        rows = slice(i, i + MIRROR_TILE)
        corner = np.triu(C[rows, rows])
        C[rows, rows] = corner + np.triu(corner, 1).T
        for j in range(i + MIRROR_TILE, len(C), MIRROR_TILE):
            columns = slice(j, j + MIRROR_TILE)
            C[columns, rows] = C[rows, columns].T


class Torch(Step):
    """PyTorch as well as it can be used: every operation that takes a buffer gets one."""

    def __init__(self, batch: Batch) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        super().__init__(batch)

    def array(self, values: NDArray[np.float32]) -> Any:
        """Share the array's memory."""
        return self.torch.from_numpy(values)

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """One product with the moving average inside."""
        if bias:
            X = self.torch.cat([X, X.new_ones(len(X), 1)], dim=1)
        C.addmm_(X.t(), X, beta=DECAY, alpha=(1 - DECAY) / len(X))

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Cholesky of a damped copy, then the inverse from it."""
        damped = C.clone()
        damped.diagonal().add_(damping)
        return self.torch.cholesky_inverse(self.torch.linalg.cholesky_ex(damped).L, out=out)

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Two products."""
        return self.torch.mm(self.torch.mm(G_inv, V), A_inv, out=out)


class TorchKfac(Torch):
    """PyTorch as K-FAC packages write it: scaled copies, a pass for the moving average, a general inverse."""

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """Scale a copy of the rows, multiply, then decay and add."""
        if bias:
            X = self.torch.cat([X, X.new_ones(len(X), 1)], dim=1)
        moment = X.t() @ (X / len(X))
        C.mul_(DECAY).add_(moment, alpha=1 - DECAY)

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Add a damped identity, invert by LU."""
        return self.torch.linalg.inv(C + damping * self.torch.eye(len(C)))

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Two products, new tensors."""
        return G_inv @ V @ A_inv


class Curvblas(Step):
    """One call for all matrices of the group."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self.cb: Any = importlib.import_module("curvblas")

    def update_factors(self) -> None:
        """Update all factors in one call."""
        self.cb.update_factors(self.factors, self.rows, decay=DECAY, bias=self.bias)

    def damped_inverse(self) -> None:
        """Invert all factors in one call."""
        self.cb.damped_inverse(self.factors, self.damping, out=self.inverses)

    def precondition(self) -> None:
        """Precondition all gradients in one call."""
        A_inv, G_inv = self.inverses[: self.layers], self.inverses[self.layers :]
        self.cb.precondition(self.grads, A_inv, G_inv, out=self.updates)

    def split_damping(self) -> None:
        """Ask the library for the split."""
        A, G = self.factors[: self.layers], self.factors[self.layers :]
        self.damping = [*itertools.chain(*self.cb.factored_damping(A, G, DAMPING))]
