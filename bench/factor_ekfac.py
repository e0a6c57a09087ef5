"""E-KFAC's second moments: squares of single gradients in the eigenbasis of the factors, as a moving average."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from case import Case, Check, Job
from factor_batch import DECAY
from factor_peers import average
from jobs import Topic, Way, fastest

TOLERANCE = 5e-6
GROUP = "E-KFAC moments"


class Sizes(NamedTuple):
    """N cases of T positions; A has p columns, G has q."""

    N: int
    T: int
    p: int
    q: int


SIZES = {
    "N=1024 p=q=512": Sizes(1024, 1, 512, 512),
    "N=32 T=196 p=576 q=128": Sizes(32, 196, 576, 128),
}


class Basis:
    """The orthogonal ``(I - 2 u u^T)(I - 2 w w^T)``: dense, and applied in float64 without a product of matrices."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        u, w = rng.standard_normal((2, n))
        self.u, self.w = u / math.sqrt(np.sum(u**2)), w / math.sqrt(np.sum(w**2))
        self.Q = self.rotated(np.eye(n)).astype(np.float32)

    def rotated(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``X Q``."""
        for v in (self.u, self.w):
            X = X - 2 * np.einsum("...n,n->...", X, v)[..., np.newaxis] * v
        return X


class Moments:
    """The update of one layer; a peer fills in what it does. ``A`` and ``G`` are ``(N, p)``, or ``(N, T, p)``."""

    def __init__(self, sizes: Sizes) -> None:
        self.load()
        rng = np.random.default_rng(20)
        self.sizes, self.scale = sizes, (1 - DECAY) / sizes.N
        self.bases = Basis(rng, sizes.p), Basis(rng, sizes.q)
        positions = (sizes.N,) if sizes.T == 1 else (sizes.N, sizes.T)
        self.data = [rng.standard_normal((*positions, n), dtype=np.float32) for n in (sizes.p, sizes.q)]
        self.start = rng.random((sizes.q, sizes.p), dtype=np.float32)
        self.A, self.G, self.Q_A, self.Q_G = map(self.array, (*self.data, *(basis.Q for basis in self.bases)))

    def load(self) -> None:
        """Import the library and tell it its threads."""

    def array(self, values: NDArray[np.float32]) -> Any:
        """Hand an array to the library."""
        return values

    def restart(self) -> None:
        """Set the moments to what they start from."""
        self.S: Any = self.array(self.start.copy())

    def dense(self) -> None:
        """Square the rotated rows, multiply."""
        raise NotImplementedError

    def rotate_rows(self) -> None:
        """Rotate all positions, multiply within cases, square, add."""
        raise NotImplementedError

    def rotate_gradients(self) -> None:
        """Multiply within cases, rotate the gradients, square, add."""
        raise NotImplementedError

    def ways(self) -> Sequence[Way]:
        """One way for rows, two for cases of several positions."""
        return [self.dense] if self.sizes.T == 1 else [self.rotate_rows, self.rotate_gradients]

    def job(self) -> Job:
        """Make a job of the fastest way."""
        self.restart()
        way = fastest(self.ways())
        self.restart()
        return Job(way, lambda: [self.check()])

    def check(self) -> Check:
        """Compare all moments with the formula in float64."""
        a, g = (basis.rotated(X) for basis, X in zip(self.bases, self.data, strict=True))
        if self.sizes.T == 1:
            moment = np.einsum("nq,np->qp", g**2, a**2)
        else:
            moment = np.zeros(self.start.shape)
            for a_case, g_case in zip(a, g, strict=True):
                moment += np.einsum("tq,tp->qp", g_case, a_case) ** 2
        expected = DECAY * self.start + self.scale * moment
        error = math.sqrt(np.sum((np.asarray(self.S) - expected) ** 2) / np.sum(expected**2))
        return Check("update_ekfac_moments", error, TOLERANCE)


class Numpy(Moments):
    """Products of matrices, squares in place."""

    def dense(self) -> None:
        """Square the rotated rows, multiply."""
        a, g = self.A @ self.Q_A, self.G @ self.Q_G
        np.square(a, out=a)
        np.square(g, out=g)
        average(self.S, g.T @ a, self.sizes.N)

    def rotate_rows(self) -> None:
        """Rotate all positions in one product, multiply within cases."""
        a = (self.A.reshape(-1, self.sizes.p) @ self.Q_A).reshape(self.A.shape)
        g = (self.G.reshape(-1, self.sizes.q) @ self.Q_G).reshape(self.G.shape)
        self.add_squares(g.transpose(0, 2, 1) @ a)

    def rotate_gradients(self) -> None:
        """Multiply within cases, rotate the rows of all gradients in one product."""
        D = self.G.transpose(0, 2, 1) @ self.A
        self.add_squares(self.Q_G.T @ (D.reshape(-1, self.sizes.p) @ self.Q_A).reshape(D.shape))

    def add_squares(self, M: Any) -> None:
        """Square in place, sum over the cases."""
        np.square(M, out=M)
        average(self.S, M.sum(axis=0), self.sizes.N)


class Torch(Moments):
    """The same in PyTorch."""

    def load(self) -> None:
        """Import PyTorch."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def array(self, values: NDArray[np.float32]) -> Any:
        """Share the array's memory."""
        return self.torch.from_numpy(values)

    def dense(self) -> None:
        """Square the rotated rows, multiply with the moving average inside."""
        a, g = (self.A @ self.Q_A).square_(), (self.G @ self.Q_G).square_()
        self.S.addmm_(g.t(), a, beta=DECAY, alpha=self.scale)

    def rotate_rows(self) -> None:
        """Rotate all positions, multiply within cases."""
        a, g = self.A @ self.Q_A, self.G @ self.Q_G
        self.add_squares(self.torch.bmm(g.mT, a))

    def rotate_gradients(self) -> None:
        """Multiply within cases, rotate the gradients."""
        D = self.torch.bmm(self.G.mT, self.A)
        self.add_squares(self.torch.matmul(self.Q_G.t(), D @ self.Q_A))

    def add_squares(self, M: Any) -> None:
        """Square in place, sum over the cases."""
        self.S.mul_(DECAY).add_(M.square_().sum(0), alpha=self.scale)


class Jax(Moments):
    """The same compiled, in the memory of the old moments."""

    def load(self) -> None:
        """Import JAX; it reads NPROC."""
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_platforms", "cpu")

    def array(self, values: NDArray[np.float32]) -> Any:
        """Copy, for JAX owns its arrays."""
        return self.jax.numpy.array(values)

    def ways(self) -> Sequence[Way]:
        """Compile each formula beforehand."""
        formulas = (
            [lambda a, g, Q_A, Q_G: ((g @ Q_G) ** 2).T @ ((a @ Q_A) ** 2)]
            if self.sizes.T == 1
            else [
                lambda a, g, Q_A, Q_G: (((g @ Q_G).mT @ (a @ Q_A)) ** 2).sum(0),
                lambda a, g, Q_A, Q_G: ((Q_G.T @ (g.mT @ a) @ Q_A) ** 2).sum(0),
            ]
        )
        return [self.compiled(formula) for formula in formulas]

    def compiled(self, moment: Callable[..., Any]) -> Way:
        """Compile the moving average of a formula."""
        data = (self.A, self.G, self.Q_A, self.Q_G)
        update = self.jax.jit(lambda S, *rows: DECAY * S + self.scale * moment(*rows), donate_argnums=0)
        compiled = update.lower(self.S, *data).compile()

        def way() -> None:
            self.S = compiled(self.S, *data).block_until_ready()

        return way


class Curvblas(Moments):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def ways(self) -> Sequence[Way]:
        """One call."""
        data = (self.A, self.G, self.Q_A, self.Q_G)
        return [lambda: self.cb.update_ekfac_moments(self.S, *data, decay=DECAY, bias=False)]


PEERS: dict[str, type[Moments]] = {"curvblas": Curvblas, "numpy": Numpy, "torch": Torch, "jax": Jax}


def maker(kind: type[Moments]) -> Callable[[Case], Job]:
    """Make what makes a job of a case."""
    return lambda case: kind(SIZES[case.operation]).job()


def cases() -> list[Case]:
    """List the sizes, with the flops of the cheaper order."""
    result = []
    for operation, (N, T, p, q) in SIZES.items():
        rows_first = 2.0 * N * T * (p**2 + q**2 + p * q)
        gradients_first = 2.0 * N * p * q * (T + p + q)
        flops = min(rows_first, gradients_first)
        traffic = 4.0 * (N * T * (p + q) + p**2 + q**2 + 2 * p * q)
        result.append(Case(GROUP, operation, flops, traffic, quick=True, peers=tuple(PEERS)))
    return result


TOPIC = Topic(cases(), {name: maker(kind) for name, kind in PEERS.items()})
