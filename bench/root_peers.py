"""The peers that take inverse roots, ``(C + damping I)^(-1/p)``: by eigenvectors, or by Newton's iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import solver_peers
from case import Check
from jobs import Way, distance, times, worst
from solver_peers import Solver

P, DAMPING = 4, 1e-2
TOLERANCE = 1e-3  # about ten times what a sound float32 answer shows here
NEWTON_STEPS = 15  # as many as the residual needs here


class Root(Solver):
    """The inverse p-th root of every matrix of a stack; a peer says how."""

    roots: Any

    def every(self) -> None:
        """Take all."""
        self.roots = self.root(self.C[0])

    def root(self, C: Any) -> Any:
        """Return the roots of a stack."""
        raise NotImplementedError

    def check(self) -> Check:
        """Apply C + damping I, and p times the root: that must give the probe again."""
        errors = []
        for C, X, v in zip(self.problem.each, self.members([self.roots]), self.problem.probes, strict=True):
            u = times(C, v) + DAMPING * v
            for _ in range(P):
                u = times(X, u)
            errors.append(distance(u, v))
        return Check("inverse_root", worst(errors), TOLERANCE)


class Curvblas(solver_peers.Curvblas, Root):
    """One call for all."""

    method = "eigh"

    def root(self, C: Any) -> Any:
        """Take all in one call."""
        return self.cb.inverse_root(C, P, DAMPING, method=self.method).root


class CurvblasNewton(Curvblas):
    """The same by the coupled Newton iteration."""

    method = "newton"


class Numpy(Root):
    """Eigenvectors, scaled, and a product."""

    def root(self, C: Any) -> Any:
        """Take all."""
        values, V = np.linalg.eigh(C)
        return (V * ((values + DAMPING) ** (-1 / P))[:, None, :]) @ np.swapaxes(V, 1, 2)


class Torch(solver_peers.Torch, Root):
    """PyTorch: eigenvectors, or Newton's iteration."""

    def root(self, C: Any) -> Any:
        """Take all by eigenvectors."""
        values, V = self.torch.linalg.eigh(C)
        return (V * (values + DAMPING).pow(-1 / P)[:, None, :]) @ V.mT

    def newton(self) -> None:
        """Take all by the coupled iteration (Iannazzo 2006; Gupta et al. 2018): X -> root, M = X^p C -> I."""
        torch = self.torch
        eye = torch.eye(self.C[0].shape[-1])
        damped = self.C[0] + DAMPING * eye
        z = (1 + P) / (2 * torch.linalg.matrix_norm(damped))[:, None, None]
        M, X = damped * z, eye * z.pow(1 / P)
        for _ in range(NEWTON_STEPS):
            T = ((1 + 1 / P) * eye).sub(M, alpha=1 / P)
            X = torch.bmm(X, T)
            T = torch.bmm(T, T)
            M = torch.bmm(torch.bmm(T, T), M)
        self.roots = X

    def ways(self) -> Sequence[Way]:
        """Either."""
        return [self.every, self.newton]


class Jax(solver_peers.Jax, Root):
    """JAX: eigenvectors, compiled."""

    def load(self) -> None:
        """Import JAX and wrap it."""
        super().load()

        def root(C: Any) -> Any:
            values, V = self.jax.numpy.linalg.eigh(C, symmetrize_input=False)
            return (V * ((values + DAMPING) ** (-1 / P))[:, None, :]) @ self.jax.numpy.swapaxes(V, 1, 2)

        self.compiled = self.jax.jit(root)

    def root(self, C: Any) -> Any:
        """Take all, and wait."""
        return self.jax.block_until_ready(self.compiled(C))
