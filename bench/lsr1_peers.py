"""The peers that take trust-region steps with many L-SR1 models: NumPy in batches and one by one, JAX, curvblas."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import Way, fastest, jax_in_float64, worst
from optimality import Models, conditions

PROBLEMS, GAMMA, NEWTON_STEPS = 1000, 1.0, 9
TOLERANCE = 1e-9

Array = NDArray[Any]


class Steps:
    """Steps for quadratics, ``y = H s``, nine in ten of them indefinite; most balls cut the step off. A peer says how.

    H is diagonal, as no method looks at axes; steps lean to some of them, as those of an optimiser do.
    """

    def __init__(self, n: int, m: int) -> None:
        rng = np.random.default_rng(28)
        convex = np.arange(PROBLEMS)[:, None, None] % 10 == 0
        curvature = np.where(convex, rng.uniform(1.5, 4, (PROBLEMS, 1, n)), rng.uniform(-2, 4, (PROBLEMS, 1, n)))
        self.S = rng.standard_normal((PROBLEMS, m, n)) / (1 + np.arange(n) / 4)
        self.Y = curvature * self.S
        self.g = rng.standard_normal((PROBLEMS, n))
        self.radius = rng.uniform(0.05, 1.5, PROBLEMS) * np.sqrt(n)
        self.found: Sequence[Any] = ()
        self.load()

    def load(self) -> None:
        """Import the library, and hand it the arrays."""

    def every(self) -> None:
        """Take the step of each model."""
        raise NotImplementedError

    def ways(self) -> Sequence[Way]:
        """List the ways in which the peer may do it; it is timed in the fastest."""
        return [self.every]

    def job(self) -> Job:
        """Make a job of the fastest way."""
        return Job(fastest(self.ways()), self.check)

    def check(self) -> list[Check]:
        """Test whether the steps are minimisers."""
        step, multiplier = (np.asarray(part) for part in self.found)
        models = Models(self.S, self.Y, np.full(PROBLEMS, GAMMA), self.g, self.radius)
        return optimality(models, step, multiplier, TOLERANCE)


def optimality(models: Models, step: Array, multiplier: Array, tolerance: float) -> list[Check]:
    """Test whether steps are minimisers; near the hard case the length is that of large terms, and less accurate."""
    errors = conditions(models, step, multiplier)
    return [Check(what, worst(list(e)), tolerance * (10 if what == "length" else 1)) for what, e in errors.items()]


class Curvblas(Steps):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def every(self) -> None:
        """Take the steps."""
        found = self.cb.lsr1_step(self.S, self.Y, self.g, self.radius, gamma=GAMMA)
        self.found = found.step, found.multiplier


Solve = Callable[[Any, Any], Any]  # L and X to L^-T X


def transposed(matrices: Any) -> Any:
    """Swap the last two axes."""
    return matrices.swapaxes(-1, -2)


def spectrum(xp: Any, solve: Solve, squares: Any, Minv: Any) -> tuple[Any, Any]:
    """Return eigenvalues of ``Psi^T Minv^-1 Psi``, and W with its eigenvectors ``Psi^T W``; ``squares = Psi Psi^T``."""
    L = xp.linalg.cholesky(squares)
    values, vectors = xp.linalg.eigh(transposed(L) @ xp.linalg.solve(Minv, L))
    return values, solve(L, vectors)


def multipliers(xp: Any, values: Any, a: Any, radius: Any) -> Any:
    """Find sigma with ``|a / (values + sigma)| = radius`` from the left, or 0 in the interior; no hard case."""
    sigma = xp.maximum(xp.max(xp.abs(a) / radius[..., None] - values, axis=-1), 0)
    for _ in range(NEWTON_STEPS):
        shifted = values + sigma[..., None]
        squares = (a / shifted) ** 2
        total = xp.sum(squares, axis=-1)
        sigma = xp.maximum(sigma + (xp.sqrt(total) / radius - 1) * total / xp.sum(squares / shifted, axis=-1), 0)
    return sigma


def steps(xp: Any, solve: Solve, S: Any, Y: Any, g: Any, radius: Any) -> tuple[Any, Any]:
    """Take the step of a model, or of a stack: three products with Psi, the rest m x m."""
    Psi = Y - GAMMA * S
    lower = xp.tril(S @ transposed(Psi))
    Minv = lower + transposed(xp.tril(lower, -1))
    inside, W = spectrum(xp, solve, Psi @ transposed(Psi), Minv)
    a = (transposed(W) @ (Psi @ g[..., None]))[..., 0]
    # Good for what is here; where g lies in the span of Psi, only g less its part there would be accurate.
    outside = xp.sqrt(xp.maximum(xp.sum(g * g, axis=-1) - xp.sum(a * a, axis=-1), 0))
    values = xp.concatenate([inside + GAMMA, xp.full_like(a[..., :1], GAMMA)], axis=-1)
    sigma = multipliers(xp, values, xp.concatenate([a, outside[..., None]], axis=-1), radius)
    flat = 1 / (GAMMA + sigma[..., None])
    weights = W @ (a * flat - a / (values[..., :-1] + sigma[..., None]))[..., None]
    return (transposed(Psi) @ weights)[..., 0] - g * flat, sigma


def numpy_solve(L: Array, X: Array) -> Array:
    """Return ``L^-T X`` as well as NumPy can, which has no solver for triangles."""
    return np.linalg.solve(transposed(L), X)


def numpy_steps(S: Array, Y: Array, g: Array, radius: Array) -> tuple[Array, Array]:
    """Take steps with NumPy."""
    p, sigma = steps(np, numpy_solve, S, Y, g, radius)
    return p, sigma


class NumpyBatched(Steps):
    """Stacks, all at once or in parts that stay in the caches."""

    parts = (1, 8, 32)

    def map(self, count: int) -> None:
        """Take the steps of so many parts of the models."""
        cuts = [np.array_split(x, count) for x in (self.S, self.Y, self.g, self.radius)]
        found = list(self.pool(numpy_steps, *cuts))
        self.found = [np.concatenate(part) for part in zip(*found, strict=True)]

    def pool(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function for each part."""
        return map(function, *arguments)

    def ways(self) -> Sequence[Way]:
        """List numbers of parts."""
        return [partial(self.map, count) for count in self.parts]


class NumpyThreads(NumpyBatched):
    """The same, the parts shared by threads: NumPy's solvers let go of the interpreter's lock."""

    def load(self) -> None:
        """Start the threads."""
        self.threads = ThreadPoolExecutor(int(os.environ["OMP_NUM_THREADS"]))

    def pool(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function for each part."""
        return self.threads.map(function, *arguments)


class NumpyLoop(Steps):
    """Model by model."""

    def every(self) -> None:
        """Take the steps."""
        found = [numpy_steps(*model) for model in zip(self.S, self.Y, self.g, self.radius, strict=True)]
        self.found = [np.array(part) for part in zip(*found, strict=True)]


class Jax(Steps):
    """The step of one model, mapped and compiled."""

    def load(self) -> None:
        """Import JAX, compile, and copy the arrays: JAX owns its own."""
        jax = jax_in_float64()
        triangle: Any = importlib.import_module("jax.scipy.linalg").solve_triangular

        def one(S: Any, Y: Any, g: Any, radius: Any) -> Any:
            return steps(jax.numpy, lambda L, X: triangle(L, X, trans=1, lower=True), S, Y, g, radius)

        self.given = [jax.numpy.array(x) for x in (self.S, self.Y, self.g, self.radius)]
        self.steps = jax.jit(jax.vmap(one)).lower(*self.given).compile()

    def every(self) -> None:
        """Take the steps."""
        self.found = [part.block_until_ready() for part in self.steps(*self.given)]
