"""The peers that work on metrics of units: NumPy, PyTorch, JAX and curvblas; each in every way that it has."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import Way, distance, fastest, worst

DECAY, DAMPING = 0.95, 0.1
TOLERANCE = 5e-6
MOMENTS, QUASI_DIAGONAL, SOLUTION = "moments of units", "quasi-diagonal moments", "quasi-diagonal solution"


class Sizes(NamedTuple):
    """N cases, q units, p inputs with that of the bias."""

    N: int
    q: int
    p: int

    @property
    def name(self) -> str:
        """How a case is called."""
        return f"N={self.N} q={self.q} p={self.p}"


class Work:
    """One call for one layer; a peer fills in what it does."""

    def __init__(self, group: str, sizes: Sizes) -> None:
        self.load()
        rng = np.random.default_rng(21)
        self.group, self.sizes, self.scale = group, sizes, (1 - DECAY) / sizes.N
        N, q, p = sizes
        self.rows = rng.standard_normal((N, p), dtype=np.float32)
        self.rows[:, -1] = 1
        self.weights = rng.random((N, q), dtype=np.float32)
        self.begin: list[NDArray[np.float32]] = [np.zeros((q, p, p), np.float32)]
        if group != MOMENTS:
            self.begin = [rng.random((q, p), dtype=np.float32), 2 + rng.random((q, p), dtype=np.float32)]
            self.begin[1][:, -1] = self.begin[0][:, -1] = 1.5
        self.gradient = rng.standard_normal((q, p), dtype=np.float32)
        self.R, self.W, self.g = map(self.array, (self.rows, self.weights, self.gradient))

    x: Any
    """The solution, where that is the group."""

    def load(self) -> None:
        """Import the library and tell it its threads."""

    def array(self, values: NDArray[np.float32]) -> Any:
        """Hand an array to the library."""
        return values

    def restart(self) -> None:
        """Set the moments to what they start from."""
        self.M: list[Any] = [self.array(x.copy()) for x in self.begin]

    def ways(self) -> Sequence[Way]:
        """All ways to the result of this group."""
        if self.group == MOMENTS:
            return self.moments()
        return self.quasi_diagonal() if self.group == QUASI_DIAGONAL else self.solution()

    def moments(self) -> Sequence[Way]:
        """One matrix a unit."""
        raise NotImplementedError

    def quasi_diagonal(self) -> Sequence[Way]:
        """First and second moments."""
        raise NotImplementedError

    def solution(self) -> Sequence[Way]:
        """Leave the solution in ``self.x``."""
        raise NotImplementedError

    def job(self) -> Job:
        """Make a job of the fastest way."""
        self.restart()
        way = fastest(self.ways())
        self.restart()
        return Job(way, lambda: [Check(self.group, self.error(), TOLERANCE)])

    def error(self) -> float:
        """Compare with float64: of the moments, those of the first and the last unit."""
        R, W = np.float64(self.rows), np.float64(self.weights)
        if self.group == SOLUTION:
            return distance(np.asarray(self.x), formula(*map(np.float64, (*self.begin, self.gradient))))
        errors = []
        for k in (0, -1):
            sums = (
                [np.einsum("n,ni,nj->ij", W[:, k], R, R)]
                if self.group == MOMENTS
                else [np.einsum("n,ni->i", W[:, k], X) for X in (R, R**2)]
            )
            for M, begin, total in zip(self.M, self.begin, sums, strict=True):
                errors.append(distance(np.asarray(M[k]), DECAY * begin[k] + self.scale * total))
        return worst(errors)


def formula(first: Any, second: Any, g: Any) -> Any:
    """Return the formula of Ollivier 2015, damped."""
    M_00, M_ii = first[:, -1:] + DAMPING, second[:, :-1] + DAMPING
    M_0i = first[:, :-1]
    w = (g[:, :-1] * M_00 - g[:, -1:] * M_0i) / (M_ii * M_00 - M_0i * M_0i)
    w_0 = (g[:, -1:] - (M_0i * w).sum(1)[:, None]) / M_00
    return np.concatenate([w, w_0], 1) if isinstance(w, np.ndarray) else (w, w_0)


class Numpy(Work):
    """Products of matrices and stacks of them."""

    def moments(self) -> Sequence[Way]:
        """Stacked products, one SYRK a unit, or one product with the squares of all pairs."""

        def stacked() -> None:
            self.add(self.M[0], np.matmul(self.R.T * self.W.T[:, None], self.R))

        def one_by_one() -> None:
            for M, w in zip(self.M[0], np.sqrt(self.W).T, strict=True):
                X = self.R * w[:, None]
                self.add(M, X.T @ X)  # a SYRK in NumPy

        def by_pairs() -> None:
            N, q, _ = self.sizes
            pairs = (self.R[:, :, None] * self.R[:, None]).reshape(N, -1)
            self.add(self.M[0].reshape(q, -1), self.W.T @ pairs)

        return [stacked, one_by_one, by_pairs]

    def quasi_diagonal(self) -> Sequence[Way]:
        """Two products."""

        def way() -> None:
            self.add(self.M[0], self.W.T @ self.R)
            self.add(self.M[1], self.W.T @ np.square(self.R))

        return [way]

    def solution(self) -> Sequence[Way]:
        """Evaluate the formula."""

        def way() -> None:
            self.x = formula(self.M[0], self.M[1], self.g)

        return [way]

    def add(self, M: Any, total: Any) -> None:
        """Average in place."""
        M *= DECAY
        total *= self.scale
        M += total


class Torch(Work):
    """The same in PyTorch, with the moving average inside the products."""

    def load(self) -> None:
        """Import PyTorch."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    def array(self, values: NDArray[np.float32]) -> Any:
        """Share the array's memory."""
        return self.torch.from_numpy(values)

    def moments(self) -> Sequence[Way]:
        """Stacked products, or one product with the products of all pairs."""
        N, q, p = self.sizes

        def stacked() -> None:
            left = self.R.t() * self.W.t()[:, None]
            self.M[0].baddbmm_(left, self.R.expand(q, N, p), beta=DECAY, alpha=self.scale)

        def by_pairs() -> None:
            pairs = (self.R[:, :, None] * self.R[:, None]).view(N, -1)
            self.M[0].view(q, -1).addmm_(self.W.t(), pairs, beta=DECAY, alpha=self.scale)

        return [stacked, by_pairs]

    def quasi_diagonal(self) -> Sequence[Way]:
        """Two products."""

        def way() -> None:
            self.M[0].addmm_(self.W.t(), self.R, beta=DECAY, alpha=self.scale)
            self.M[1].addmm_(self.W.t(), self.R.square(), beta=DECAY, alpha=self.scale)

        return [way]

    def solution(self) -> Sequence[Way]:
        """Evaluate the formula."""

        def way() -> None:
            self.x = self.torch.cat(formula(self.M[0], self.M[1], self.g), 1)

        return [way]


class Jax(Work):
    """The same compiled, in the memory of the old moments."""

    def load(self) -> None:
        """Import JAX; it reads NPROC."""
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_platforms", "cpu")

    def array(self, values: NDArray[np.float32]) -> Any:
        """Copy, for JAX owns its arrays."""
        return self.jax.numpy.array(values)

    def moments(self) -> Sequence[Way]:
        """Stacked products, or one product with the products of all pairs."""
        q, p = self.sizes.q, self.sizes.p
        return [
            self.averaged(lambda R, W: [(R.T * W.T[:, None]) @ R]),
            self.averaged(lambda R, W: [(W.T @ (R[:, :, None] * R[:, None]).reshape(-1, p * p)).reshape(q, p, p)]),
        ]

    def quasi_diagonal(self) -> Sequence[Way]:
        """Two products."""
        return [self.averaged(lambda R, W: [W.T @ R, W.T @ (R * R)])]

    def averaged(self, sums: Callable[..., Any]) -> Way:
        """Compile the moving average of a formula."""

        def update(M: list[Any], R: Any, W: Any) -> list[Any]:
            return [DECAY * old + self.scale * total for old, total in zip(M, sums(R, W), strict=True)]

        compiled = self.jax.jit(update, donate_argnums=0).lower(self.M, self.R, self.W).compile()

        def way() -> None:
            self.M = self.jax.block_until_ready(compiled(self.M, self.R, self.W))

        return way

    def solution(self) -> Sequence[Way]:
        """Compile the formula."""
        concatenate = self.jax.numpy.concatenate
        compiled = self.jax.jit(lambda *given: concatenate(formula(*given), 1))

        def way() -> None:
            self.x = compiled(*self.M, self.g).block_until_ready()

        way()
        return [way]


class Curvblas(Work):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def moments(self) -> Sequence[Way]:
        """Take the rows without their last column, which is the bias."""
        rows = self.R[:, :-1]
        return [lambda: self.cb.update_unit_moments(self.M[0], rows, self.W, decay=DECAY, bias=True)]

    def quasi_diagonal(self) -> Sequence[Way]:
        """Both kinds of moments."""
        rows = self.R[:, :-1]
        return [lambda: self.cb.accumulate_quasi_diagonal(*self.M, rows, self.W, decay=DECAY)]

    def solution(self) -> Sequence[Way]:
        """With a status for each unit."""

        def way() -> None:
            self.x = self.cb.solve_quasi_diagonal(*self.M, self.g, DAMPING).solution

        return [way]
