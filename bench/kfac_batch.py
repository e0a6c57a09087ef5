"""One K-FAC step: its data, and the operations that every peer does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factor_batch import Accumulation, Factor

DAMPING = 1e-3


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


class Step(Accumulation):
    """A K-FAC step that takes one matrix after the other; a peer fills in what happens to one."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch.factors)
        self.batch = batch
        self.layers = len(batch.grads)
        self.grads = [self.array(V) for V in batch.grads]
        self.inverse_buffers = [np.empty_like(C) for C in self.factor_buffers]
        self.update_buffers = [V.copy() for V in batch.grads]

    def restart(self) -> None:
        """Set every factor to ``C_0``, and every inverse too: before the first, any symmetric matrix will do."""
        super().restart()
        for source, C in zip(self.sources, self.inverse_buffers, strict=True):
            source.start(C)
        self.inverses = [self.array(C) for C in self.inverse_buffers]
        self.updates = [self.array(P) for P in self.update_buffers]
        self.damping = self.batch.damping(updated=False)

    def invert(self, C: Any, damping: float, out: Any) -> Any:
        """Return ``(C + damping I)^-1``, in ``out`` where the library can."""
        raise NotImplementedError

    def apply(self, V: Any, A_inv: Any, G_inv: Any, out: Any) -> Any:
        """Return ``G_inv V A_inv``, in ``out`` where the library can."""
        raise NotImplementedError

    def mean_diagonal(self, C: Any) -> float:
        """Return the trace over the size."""
        return float(C.trace()) / len(C)

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
