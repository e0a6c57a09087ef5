"""The peers that divide gradients by a damped curvature in its eigenbasis: NumPy, PyTorch, JAX and curvblas."""

from __future__ import annotations

from typing import Any

import numpy as np

import precondition_peers
from case import Check
from jobs import distance, times, worst
from precondition_peers import Layers, Precondition

DAMPING = 1e-2
LEVELS = (0.25, 0.5, 1.0)  # the eigenvalues of G: few, so that the oracle needs matrices times vectors only


class Division(Precondition):
    """``G [(G^T V A) / (s_G s_A^T + damping)] A^T`` of every layer; A and G play the eigenvectors."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        rng = np.random.default_rng(21)
        self.values_A = [rng.random(n).astype(layers.dtype) for _, n in layers.shapes]
        self.values_G = [rng.choice(LEVELS, m).astype(layers.dtype) for m, _ in layers.shapes]
        self.s_A, self.s_G = self.values(self.values_A), self.values(self.values_G)

    def values(self, each: list[Any]) -> list[Any]:
        """Hand over eigenvalues: a stack as one array, or those of each layer."""
        return [self.array(s) for s in ([np.stack(each)] if self.layers.stacked else each)]

    def divided(self, V: Any, A: Any, G: Any, s_A: Any, s_G: Any) -> Any:
        """Divide one layer or one stack."""
        rotated = G.swapaxes(-2, -1) @ V @ A
        return G @ (rotated / (s_G[..., :, None] * s_A[..., None, :] + DAMPING)) @ A.swapaxes(-2, -1)

    def every(self) -> None:
        """Divide all."""
        tasks = zip(self.V, self.A, self.G, self.s_A, self.s_G, strict=True)
        self.P = [self.divided(*task) for task in tasks]

    def check(self) -> Check:
        """Compare ``P v`` with the same from right to left."""
        errors = []
        layers = self.layers
        bases = zip(layers.V, layers.A, layers.G, self.values_A, self.values_G, strict=True)
        for (V, A, G, s_A, s_G), P, v in zip(bases, self.answers(), layers.probes, strict=True):
            u, expected = times(A.T, v), np.zeros(len(V))
            for level in LEVELS:  # rows with one eigenvalue of G share their divisors
                rotated = times(G.T, times(V, times(A, u / (level * s_A.astype(np.float64) + DAMPING))))
                expected += times(G, np.where(s_G == level, rotated, 0.0))
            errors.append(distance(times(P, v), expected))
        return Check("precondition_eigen", worst(errors), 10 * precondition_peers.TOLERANCES[self.dtype])


class Curvblas(Division, precondition_peers.Curvblas):
    """One call for all layers."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        _, A, G = self.arguments
        self.A_basis, self.G_basis = self.basis(A, self.s_A), self.basis(G, self.s_G)

    def basis(self, vectors: Any, values: list[Any]) -> Any:
        """Return what `eigenbasis` would give."""
        nothing = np.zeros(len(vectors))
        kept = values[0] if self.layers.stacked else values
        return self.cb.Eigenbasis(values=kept, vectors=vectors, status=nothing.astype(np.int8), residual=nothing)

    def every(self) -> None:
        """Divide all in one call."""
        self.cb.precondition_eigen(self.arguments[0], self.A_basis, self.G_basis, DAMPING, out=self.out)


class Numpy(Division, precondition_peers.Numpy):
    """NumPy's matmul."""


class Torch(Division, precondition_peers.Torch):
    """PyTorch's matmul."""

    def every(self) -> None:
        """Divide all."""
        Division.every(self)


class Jax(Division, precondition_peers.Jax):
    """JAX: one compiled function for all layers."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)

        def divisions(*lists: list[Any]) -> list[Any]:
            return [self.divided(*task) for task in zip(*lists, strict=True)]

        self.compiled = self.jax.jit(divisions)

    def every(self) -> None:
        """Divide all, and wait for them."""
        self.P = self.jax.block_until_ready(self.compiled(self.V, self.A, self.G, self.s_A, self.s_G))
