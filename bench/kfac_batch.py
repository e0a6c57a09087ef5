"""One K-FAC step: its data, what the float64 oracle knows of them, and the operations that every peer does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DECAY = 0.95
DAMPING = 1e-3

Vector = NDArray[np.float64]


class Factor:
    """A running factor ``C_0 = diag(s)^2 + c c^T`` and the rows of the next batch.

    The spectrum decays, one direction dominates, and the float64 oracle never needs a d x d matrix.
    """

    def __init__(self, rng: np.random.Generator, d: int, rows: int, bias: bool) -> None:
        self.s = 1 / np.sqrt(np.arange(1.0, d + 1))
        self.c = self.s * rng.standard_normal(d)
        self.probe = rng.standard_normal(d)
        self.bias = bias
        columns = d - bias
        self.X = rng.standard_normal((rows, columns), dtype=np.float32)
        self.X *= self.s[:columns].astype(np.float32)

    def start(self, C: NDArray[np.float32]) -> None:
        """Write ``C_0``."""
        c = self.c.astype(np.float32)
        np.multiply.outer(c, c, out=C)
        C.ravel()[:: len(c) + 1] += (self.s**2).astype(np.float32)

    def start_times(self, u: Vector) -> Vector:
        """Return ``C_0 u``."""
        C_u: Vector = self.s**2 * u + self.c * np.sum(self.c * u)
        return C_u

    def updated_times(self, u: Vector) -> Vector:
        """Return ``C_1 u``, ``C_1 = decay C_0 + (1 - decay) X^T X / N`` with the column of ones in X."""
        rows, columns = self.X.shape
        X_u = np.einsum("nd,d->n", self.X, u[:columns]) + (u[-1] if self.bias else 0.0)
        XtX_u: Vector = np.einsum("nd,n->d", self.X, X_u)
        if self.bias:
            XtX_u = np.append(XtX_u, np.sum(X_u))
        C_u: Vector = DECAY * self.start_times(u) + (1 - DECAY) / rows * XtX_u
        return C_u

    def mean_diagonal(self, *, updated: bool) -> float:
        """Return the trace over d, of ``C_0`` or ``C_1``."""
        start = float(np.mean(self.s**2 + self.c**2))
        if not updated:
            return start
        moment = float(np.sum(np.square(self.X, dtype=np.float64))) / len(self.X) + self.bias
        return DECAY * start + (1 - DECAY) * moment / len(self.s)


@dataclass(frozen=True)
class Batch:
    """What a step receives: the factors of all layers with their rows, and the gradients."""

    A: Sequence[Factor]
    G: Sequence[Factor]
    grads: Sequence[NDArray[np.float32]]

    @property
    def factors(self) -> list[Factor]:
        """All A, then all G."""
        return [*self.A, *self.G]

    def damping(self, *, updated: bool) -> list[float]:
        """Split the damping between the factors of each layer (Martens and Grosse 2015, section 6.3)."""
        means = ([f.mean_diagonal(updated=updated) for f in factors] for factors in (self.A, self.G))
        pi = [math.sqrt(mean_A / mean_G) for mean_A, mean_G in zip(*means, strict=True)]
        return [ratio * math.sqrt(DAMPING) for ratio in pi] + [math.sqrt(DAMPING) / ratio for ratio in pi]


class Step:
    """A K-FAC step that takes one matrix after the other; a peer fills in what happens to one.

    Every buffer is written once here, so that no timed call pays for pages that a training loop would have.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.layers = len(batch.grads)
        self.bias = [factor.bias for factor in batch.factors]
        self.rows = [self.array(factor.X) for factor in batch.factors]
        self.grads = [self.array(V) for V in batch.grads]
        self.buffers = [np.empty((len(factor.s),) * 2, np.float32) for factor in [*batch.factors] * 2]
        self.update_buffers = [V.copy() for V in batch.grads]
        self.restart()

    def restart(self) -> None:
        """Set every factor to ``C_0``, and every inverse too: before the first, any symmetric matrix will do."""
        for factor, C in zip([*self.batch.factors] * 2, self.buffers, strict=True):
            factor.start(C)
        matrices = [self.array(C) for C in self.buffers]
        self.factors, self.inverses = matrices[: len(self.rows)], matrices[len(self.rows) :]
        self.updates = [self.array(P) for P in self.update_buffers]
        self.damping = self.batch.damping(updated=False)

    def array(self, values: NDArray[np.float32]) -> Any:
        """Hand an array to the library, without a copy."""
        return values

    def update(self, C: Any, X: Any, bias: bool) -> None:
        """Set ``C <- decay C + (1 - decay) X^T X / N``, with a column of ones in X where there is a bias."""
        raise NotImplementedError

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Return ``(C + damping I)^-1``, in ``out`` where the library can."""
        raise NotImplementedError

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Return ``G_inv V A_inv``, in ``out`` where the library can."""
        raise NotImplementedError

    def mean_diagonal(self, C: Any) -> float:
        """Return the trace over the size."""
        return float(C.trace()) / len(C)

    def update_factors(self) -> None:
        """Update all factors."""
        for C, X, bias in zip(self.factors, self.rows, self.bias, strict=True):
            self.update(C, X, bias)

    def damped_inverse(self) -> None:
        """Invert all factors."""
        tasks = zip(self.factors, self.damping, self.inverses, strict=True)
        self.inverses = [self.invert(C, damping, out) for C, damping, out in tasks]

    def precondition(self) -> None:
        """Precondition all gradients."""
        A_inv, G_inv = self.inverses[: self.layers], self.inverses[self.layers :]
        tasks = zip(self.grads, A_inv, G_inv, self.updates, strict=True)
        self.updates = [self.apply(*task) for task in tasks]

    def split_damping(self) -> None:
        """Set the damping of each factor from the traces."""
        means = [self.mean_diagonal(C) for C in self.factors]
        pairs = zip(means[: self.layers], means[self.layers :], strict=True)
        pi = [math.sqrt(mean_A / mean_G) for mean_A, mean_G in pairs]
        self.damping = [r * math.sqrt(DAMPING) for r in pi] + [math.sqrt(DAMPING) / r for r in pi]

    def step(self) -> None:
        """Do all of it."""
        self.update_factors()
        self.split_damping()
        self.damped_inverse()
        self.precondition()
