"""The factor of a convolution's output derivatives: channels-first maps ``(N, q, T)``, whose rows are strided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import factor_peers
from case import Case, Job
from factor_batch import DECAY, Accumulation, RunningFactor
from factor_peers import average, mirror
from jobs import Topic, Vector, Way

GROUP = "channels-first rows"
SIZES = {f"q={q} T={T} N={N}": (N, q, T) for N, q, T in ((16, 64, 56 * 56), (16, 512, 7 * 7))}


class ChannelsFirst(RunningFactor):
    """A factor whose rows are all positions of all cases; ``X`` is the view ``(N, T, q)`` of the maps."""

    def __init__(self, rng: np.random.Generator, cases: int, q: int, T: int) -> None:
        super().__init__(rng, q)
        self.maps = rng.standard_normal((cases, q, T), dtype=np.float32)
        self.maps *= self.s.astype(np.float32)[:, np.newaxis]
        self.X = self.maps.transpose(0, 2, 1)

    def moment_times(self, u: Vector) -> Vector:
        """Multiply by the rows and back."""
        X_u = np.einsum("nqt,q->nt", self.maps, u)
        XtX_u: Vector = np.einsum("nqt,nt->q", self.maps, X_u)
        return XtX_u


class Maps(Accumulation):
    """One factor of maps; the peers see these, and a buffer ``(q, N T)`` to gather them in."""

    def __init__(self, sources: Sequence[ChannelsFirst]) -> None:
        super().__init__(sources)
        self.maps = sources[0].maps
        self.cases, q, T = self.maps.shape
        self.scale = (1 - DECAY) / self.cases
        self.buffer = np.zeros((q, self.cases, T), np.float32)

    def gathered(self) -> NDArray[np.float32]:
        """Gather the maps: T numbers at a time, as the plain rows ``(N T, q)`` could not be."""
        np.copyto(self.buffer, self.maps.transpose(1, 0, 2))
        return self.buffer.reshape(len(self.buffer), -1)


class Numpy(Maps):
    """One SYRK of gathered maps, or one for each case."""

    def gather(self) -> None:
        """Gather, multiply, average."""
        X = self.gathered()
        average(self.factors[0], X @ X.T, self.cases)

    def case_by_case(self) -> None:
        """Multiply each case, add, average."""
        moments = self.maps @ self.maps.transpose(0, 2, 1)
        average(self.factors[0], moments.sum(axis=0), self.cases)

    def ways(self) -> Sequence[Way]:
        """List both."""
        return [self.gather, self.case_by_case]


class Scipy(Maps, factor_peers.Scipy):
    """One SYRK of gathered maps, or one for each case, with the moving average inside."""

    def gather(self) -> None:
        """Gather and multiply."""
        C = self.factors[0]
        self.blas.ssyrk(self.scale, self.gathered().T, beta=DECAY, c=C.T, trans=1, lower=1, overwrite_c=1)
        mirror(C)

    def case_by_case(self) -> None:
        """Multiply each case, the first with the decay."""
        C, beta = self.factors[0], DECAY
        for maps in self.maps:
            self.blas.ssyrk(self.scale, maps.T, beta=beta, c=C.T, trans=1, lower=1, overwrite_c=1)
            beta = 1.0
        mirror(C)

    def ways(self) -> Sequence[Way]:
        """List both."""
        return [self.gather, self.case_by_case]


class Mkl(Maps, factor_peers.Mkl):
    """The same with MKL."""

    def gather(self) -> None:
        """Gather and multiply."""
        C = self.factors[0]
        self.syrk(C, self.gathered(), self.scale, DECAY, transposed=False)
        mirror(C)

    def case_by_case(self) -> None:
        """Multiply each case, the first with the decay."""
        C, beta = self.factors[0], DECAY
        for maps in self.maps:
            self.syrk(C, maps, self.scale, beta, transposed=False)
            beta = 1.0
        mirror(C)

    def ways(self) -> Sequence[Way]:
        """List both."""
        return [self.gather, self.case_by_case]


class Torch(Maps, factor_peers.Torch):
    """One product of gathered maps, or a sum of products, both with the moving average inside."""

    def gather(self) -> None:
        """Gather and multiply."""
        X = self.rows[0].permute(2, 0, 1).flatten(1)
        self.factors[0].addmm_(X, X.t(), beta=DECAY, alpha=self.scale)

    def case_by_case(self) -> None:
        """Multiply each case and add."""
        X = self.rows[0]
        self.factors[0].addbmm_(X.mT, X, beta=DECAY, alpha=self.scale)

    def ways(self) -> Sequence[Way]:
        """List both."""
        return [self.gather, self.case_by_case]


class TorchKfac(factor_peers.TorchKfac):
    """As K-FAC packages write it: rows made contiguous, a scaled copy, a pass for the moving average."""

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """Make rows ``(N T, q)``; the mean is over the N cases."""
        rows = X.reshape(-1, X.shape[-1])
        moment = rows.t() @ (rows / len(X))
        C.mul_(DECAY).add_(moment, alpha=1 - DECAY)


class Jax(factor_peers.Jax):
    """One compiled contraction of the maps."""

    def array(self, values: NDArray[Any]) -> Any:
        """Copy the maps as they are; a copy of the view would have put the rows in order."""
        return super().array(values.transpose(0, 2, 1) if values.ndim == 3 else values)

    def moment(self, X: Any, bias: bool) -> Any:
        """Sum over cases and positions."""
        return self.jax.numpy.einsum("nqt,nrt->qr", X, X)


PEERS: dict[str, Callable[[Sequence[ChannelsFirst]], Accumulation]] = {
    "curvblas": factor_peers.Curvblas,
    "numpy": Numpy,
    "scipy": Scipy,
    "torch": Torch,
    "torch_kfac": TorchKfac,
    "jax": Jax,
    "mkl": Mkl,
}


def maker(kind: Callable[[Sequence[ChannelsFirst]], Accumulation]) -> Callable[[Case], Job]:
    """Make what makes a job of a case."""

    def job(case: Case) -> Job:
        return kind([ChannelsFirst(np.random.default_rng(20), *SIZES[case.operation])]).job()

    return job


def cases() -> list[Case]:
    """List the sizes."""
    result = []
    for operation, (N, q, T) in SIZES.items():
        flops, traffic = float(N * T * q * (q + 1)), 4.0 * (N * q * T + 2 * q**2)
        result.append(Case(GROUP, operation, flops, traffic, quick=True, peers=tuple(PEERS)))
    return result


TOPIC = Topic(cases(), {name: maker(kind) for name, kind in PEERS.items()})
