"""The peers of `kfac_step`: the same step in NumPy, SciPy, PyTorch (two ways) and curvblas."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import numpy as np

import factor_peers
from factor_peers import mirror
from kfac_batch import DAMPING, Step


class Numpy(factor_peers.Numpy, Step):
    """NumPy alone; ``linalg.inv`` is an LU factorisation in float64."""

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Invert a damped copy."""
        damped = C.copy()
        damped.ravel()[:: len(C) + 1] += damping
        return np.linalg.inv(damped)

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Two products."""
        return np.matmul(G_inv @ V, A_inv, out=out)


class Scipy(factor_peers.Scipy, Step):
    """SciPy's BLAS and LAPACK; they see the transposed arrays, so their lower triangle is our upper one."""

    def load(self) -> None:
        """Import both."""
        super().load()
        self.lapack: Any = importlib.import_module("scipy.linalg.lapack")

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


class Torch(factor_peers.Torch, Step):
    """PyTorch as well as it can be used: every operation that takes a buffer gets one."""

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Cholesky of a damped copy, then the inverse from it."""
        damped = C.clone()
        damped.diagonal().add_(damping)
        return self.torch.cholesky_inverse(self.torch.linalg.cholesky_ex(damped).L, out=out)

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Two products."""
        return self.torch.mm(self.torch.mm(G_inv, V), A_inv, out=out)


class TorchKfac(factor_peers.TorchKfac, Step):
    """PyTorch as K-FAC packages write it, with a general inverse."""

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Add a damped identity, invert by LU."""
        return self.torch.linalg.inv(C + damping * self.torch.eye(len(C)))

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Two products, new tensors."""
        return G_inv @ V @ A_inv


class Curvblas(factor_peers.Curvblas, Step):
    """One call for all matrices of the group."""

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
