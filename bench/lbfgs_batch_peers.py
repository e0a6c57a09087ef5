"""The peers that multiply with L-BFGS's inverses of many problems: NumPy in batches and one by one, JAX, curvblas."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from case import Check, Job
from jobs import Way, distance, fastest, jax_in_float64, worst
from lbfgs_peers import two_loops

PROBLEMS, SIZE, MEMORY = 1000, 100, 10
TOLERANCES = {"float64": 1e-12, "float32": 1e-4}

Array = NDArray[Any]


class Problems:
    """Pairs of convex quadratics; a peer says how their directions are found."""

    directions: Any

    def __init__(self, dtype: str) -> None:
        rng = np.random.default_rng(31)
        self.dtype = dtype
        S = rng.standard_normal((PROBLEMS, MEMORY, SIZE))
        self.S, self.Y = S.astype(dtype), (S * rng.uniform(0.1, 4, (PROBLEMS, 1, SIZE))).astype(dtype)
        self.g = rng.standard_normal((PROBLEMS, SIZE)).astype(dtype)
        self.load()

    def load(self) -> None:
        """Import the library, and hand it the arrays."""

    def every(self) -> None:
        """Find the direction of each problem."""
        raise NotImplementedError

    def ways(self) -> Sequence[Way]:
        """List the ways in which the peer may do it; it is timed in the fastest."""
        return [self.every]

    def job(self) -> Job:
        """Make a job of the fastest way."""
        return Job(fastest(self.ways()), self.check)

    def check(self) -> list[Check]:
        """Compare with the two loops in float64."""
        problems = zip(self.S, self.Y, self.g, np.asarray(self.directions), strict=True)
        errors = [distance(np.float64(found), two_loops(S, Y, g)) for S, Y, g, found in problems]
        return [Check("direction", worst(errors), TOLERANCES[self.dtype])]


class Curvblas(Problems):
    """One call."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")

    def every(self) -> None:
        """Find the directions."""
        self.directions = self.cb.lbfgs_direction(self.S, self.Y, self.g)


def direction(S: Array, Y: Array, g: Array) -> Array:
    """Return ``-H g`` by two loops over the pairs of one problem."""
    q, along, curvature = -g, [], [s @ y for s, y in zip(S, Y, strict=True)]
    for k in reversed(range(len(S))):
        along.append((S[k] @ q) / curvature[k])
        q -= along[-1] * Y[k]
    q *= curvature[-1] / (Y[-1] @ Y[-1])
    for k in range(len(S)):
        q += (along.pop() - (Y[k] @ q) / curvature[k]) * S[k]
    return q


class NumpyLoop(Problems):
    """Problem by problem, two loops."""

    def every(self) -> None:
        """Find the directions."""
        self.directions = [direction(*problem) for problem in zip(self.S, self.Y, self.g, strict=True)]


def stacked_loops(xp: Any, S: Any, Y: Any, g: Any) -> Any:
    """Return ``-H g`` by two loops over the pairs, each product over all leading axes; nothing is changed in place."""

    def dots(x: Any, y: Any) -> Any:
        return xp.einsum("...n,...n->...", x, y)[..., None]

    q, along, curvature = -g, [], xp.einsum("...mn,...mn->...m", S, Y)[..., None]
    for k in reversed(range(MEMORY)):
        along.append(dots(S[..., k, :], q) / curvature[..., k, :])
        q = q - along[-1] * Y[..., k, :]
    q = q * (curvature[..., -1, :] / dots(Y[..., -1, :], Y[..., -1, :]))
    for k in range(MEMORY):
        q = q + (along.pop() - dots(Y[..., k, :], q) / curvature[..., k, :]) * S[..., k, :]
    return q


def compact(xp: Any, S: Any, Y: Any, g: Any) -> Any:
    """Return ``-H g`` by the compact form (Byrd, Nocedal and Schnabel 1994, theorem 2.2)."""
    SY, YY = S @ Y.swapaxes(-1, -2), Y @ Y.swapaxes(-1, -2)
    scale = (SY[..., -1, -1] / YY[..., -1, -1])[..., None, None]
    R, column = xp.triu(SY), g[..., None]
    inner = xp.linalg.solve(R, S @ column)
    own = xp.einsum("...mm->...m", SY)[..., None]
    of_S = xp.linalg.solve(R.swapaxes(-1, -2), own * inner + scale * (YY @ inner - Y @ column))
    return (scale * (Y.swapaxes(-1, -2) @ inner - column) - S.swapaxes(-1, -2) @ of_S)[..., 0]


class NumpyBatched(Problems):
    """Stacks: two loops, or the compact form."""

    def ways(self) -> Sequence[Way]:
        """List both."""
        return [partial(self.by, way) for way in (stacked_loops, compact)]

    def by(self, way: Any) -> None:
        """Find the directions in one way."""
        self.directions = way(np, self.S, self.Y, self.g)


class Jax(Problems):
    """One problem, mapped and compiled: two loops, written out or rolled, or the compact form."""

    def load(self) -> None:
        """Import JAX, and copy the arrays: JAX owns its own."""
        self.jax = jax_in_float64()
        self.given = [self.jax.numpy.array(x) for x in (self.S, self.Y, self.g)]

    def rolled(self, xp: Any, S: Any, Y: Any, g: Any) -> Any:
        """Return ``-H g`` by two scans over the pairs."""

        def first(q: Any, pair: Any) -> Any:
            s, y, sy = pair
            along = xp.dot(s, q) / sy
            return q - along * y, along

        def second(q: Any, pair: Any) -> Any:
            s, y, sy, along = pair
            return q + (along - xp.dot(y, q) / sy) * s, None

        curvature, scan = xp.sum(S * Y, axis=1), self.jax.lax.scan
        q, along = scan(first, -g, (S, Y, curvature), reverse=True)
        scale = curvature[-1] / xp.dot(Y[-1], Y[-1])
        return scan(second, scale * q, (S, Y, curvature, along))[0]

    def ways(self) -> Sequence[Way]:
        """Compile each."""
        jax = self.jax
        forms = (stacked_loops, self.rolled, compact)
        return [partial(self.by, jax.jit(jax.vmap(partial(form, jax.numpy)))) for form in forms]

    def by(self, function: Any) -> None:
        """Find the directions in one way."""
        self.directions = function(*self.given).block_until_ready()
