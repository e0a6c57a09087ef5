"""Running factors: the batch that updates them, what the float64 oracle knows, and the update that every peer does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import Vector, Way, distance, fastest, times, worst

DECAY = 0.95
TOLERANCE = 5e-6  # about ten times what a sound float32 answer shows here


class RunningFactor:
    """A factor ``C_0 = diag(s)^2 + c c^T`` and the batch that updates it.

    The spectrum decays, one direction dominates, and the float64 oracle never needs a d x d matrix.
    """

    X: NDArray[Any]
    bias = False

    def __init__(self, rng: np.random.Generator, d: int) -> None:
        self.s = 1 / np.sqrt(np.arange(1.0, d + 1))
        self.c = self.s * rng.standard_normal(d)
        self.probe = rng.standard_normal(d)

    def start(self, C: NDArray[np.float32]) -> None:
        """Write ``C_0``."""
        c = self.c.astype(np.float32)
        np.multiply.outer(c, c, out=C)
        C.ravel()[:: len(c) + 1] += (self.s**2).astype(np.float32)

    def start_times(self, u: Vector) -> Vector:
        """Return ``C_0 u``."""
        C_u: Vector = self.s**2 * u + self.c * np.sum(self.c * u)
        return C_u

    def moment_times(self, u: Vector) -> Vector:
        """Return ``X^T X u``, X with all rows that the batch means."""
        raise NotImplementedError

    def updated_times(self, u: Vector) -> Vector:
        """Return ``C_1 u``, ``C_1 = decay C_0 + (1 - decay) X^T X / N`` for N cases."""
        C_u: Vector = DECAY * self.start_times(u) + (1 - DECAY) / len(self.X) * self.moment_times(u)
        return C_u


class Factor(RunningFactor):
    """A factor of plain rows, with a column of ones where there is a bias."""

    def __init__(self, rng: np.random.Generator, d: int, rows: int, bias: bool) -> None:
        super().__init__(rng, d)
        self.bias = bias
        columns = d - bias
        self.X = rng.standard_normal((rows, columns), dtype=np.float32)
        self.X *= self.s[:columns].astype(np.float32)

    def moment_times(self, u: Vector) -> Vector:
        """Multiply by the rows and back."""
        X_u = np.einsum("nd,d->n", self.X, u[: self.X.shape[1]]) + (u[-1] if self.bias else 0.0)
        XtX_u: Vector = np.einsum("nd,n->d", self.X, X_u)
        return np.append(XtX_u, np.sum(X_u)) if self.bias else XtX_u

    def mean_diagonal(self, *, updated: bool) -> float:
        """Return the trace over d, of ``C_0`` or ``C_1``."""
        start = float(np.mean(self.s**2 + self.c**2))
        if not updated:
            return start
        moment = float(np.sum(np.square(self.X, dtype=np.float64))) / len(self.X) + self.bias
        return DECAY * start + (1 - DECAY) * moment / len(self.s)


class Accumulation:
    """An update that takes one factor after the other; a peer fills in what happens to one.

    Every factor is written by `restart`, so that no timed call pays for pages that a training loop would have.
    """

    factors: list[Any]

    def __init__(self, sources: Sequence[RunningFactor]) -> None:
        self.load()
        self.sources = sources
        self.bias = [source.bias for source in sources]
        self.rows = [self.array(source.X) for source in sources]
        self.factor_buffers = [np.empty((len(source.s),) * 2, np.float32) for source in sources]

    def load(self) -> None:
        """Import the library and tell it its threads."""

    def array(self, values: NDArray[Any]) -> Any:
        """Hand an array to the library, without a copy where it takes one so."""
        return values

    def restart(self) -> None:
        """Set every factor to ``C_0``."""
        for source, C in zip(self.sources, self.factor_buffers, strict=True):
            source.start(C)
        self.factors = [self.array(C) for C in self.factor_buffers]

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """Set ``C <- decay C + (1 - decay) X^T X / N``, with a column of ones in X where there is a bias."""
        raise NotImplementedError

    def update_factors(self) -> None:
        """Update all factors."""
        for C, X, bias in zip(self.factors, self.rows, self.bias, strict=True):
            self.update(C, X, bias)

    def ways(self) -> Sequence[Way]:
        """List the ways in which the peer may do all of it; it is timed in the fastest."""
        return [self.update_factors]

    def job(self) -> Job:
        """Make a job of the fastest way."""
        self.restart()
        way = fastest(self.ways())
        self.restart()
        return Job(way, lambda: [self.check()])

    def check(self) -> Check:
        """Compare ``C v`` with ``decay C_0 v + scale X^T X v``."""
        errors = []
        for source, C in zip(self.sources, self.factors, strict=True):
            errors.append(distance(times(C, source.probe), source.updated_times(source.probe)))
        return Check("update_factors", worst(errors), TOLERANCE)
