"""Tell what an earlier basis is worth to a symmetric eigenproblem that has changed a little: accuracy beside time.

    python bench/warm_start.py

For a change of a factor by 0.1 % and by 1 % (what a moving average adds): how far ``V0^T C V0`` is from diagonal for
the earlier basis V0, and what the refinement of Ogita and Aishima (2018, Algorithm 1; four products a step, quadratic
where it converges) makes of it, step by step; the last column is the time of all steps so far, over the time of
`eigenbasis` from nothing. Products are `numpy.matmul`'s, float32, as the factors are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import curvblas as cb
from matrices import changed, rotated, stack_of

SIZES, CHANGES, STEPS, REPEATS = (256, 1024), (0.001, 0.01), 4, 5
Array = NDArray[Any]


def refined(C: Array, V: Array) -> Array:
    """Make one step of Ogita and Aishima from V."""
    R = np.eye(len(C), dtype=C.dtype) - V.T @ V
    S = V.T @ (C @ V)
    values = np.diagonal(S) / (1 - np.diagonal(R))
    gaps = values[None, :] - values[:, None]
    size = np.linalg.norm(S - np.diag(values)) + np.linalg.norm(C) * np.linalg.norm(R)
    apart = np.abs(gaps) > 2 * size / len(C)
    correction = np.where(apart, (S + values[None, :] * R) / np.where(apart, gaps, 1), R / 2)
    result: Array = V + V @ correction
    return result


def errors(C: Array, V: Array) -> tuple[float, float, float]:
    """Return the off-diagonal part, the residual (both over ||C||) and the departure from orthogonality, in float64."""
    C, V = C.astype(np.float64), V.astype(np.float64)
    S, size = V.T @ C @ V, np.linalg.norm(C)
    values = np.diagonal(S)
    residual = np.linalg.norm(C @ V - V * values)
    return (
        float(np.linalg.norm(S - np.diag(values)) / size),
        float(residual / size),
        float(np.linalg.norm(V.T @ V - np.eye(len(C))) / np.sqrt(len(C))),
    )


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median time of some calls, and what one of them returned."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)), result


def main() -> None:
    """Print the table."""
    print("| n | changed by | basis | off-diagonal | residual | orthogonality | time / cold |")
    print("|---|---|---|---|---|---|---|")
    for n in SIZES:
        for change in CHANGES:
            before = stack_of(rotated, 1, n, "float32")
            C = changed(before, change).each[0]
            V = cb.eigenbasis(before.each[0]).vectors
            cold, basis = timed(partial(cb.eigenbasis, C))
            rows = [("cold", basis.vectors, cold), ("earlier", V, 0.0)]
            spent = 0.0
            for step in range(1, STEPS + 1):
                took, V = timed(partial(refined, C, V))
                spent += took
                rows.append((f"{step} step{'s' * (step > 1)}", V, spent))
            for name, vectors, took in rows:
                off, residual, departure = errors(C, vectors)
                numbers = f"{off:.1e} | {residual:.1e} | {departure:.1e} | {took / cold:.2f}"
                print(f"| {n} | {change:.1%} | {name} | {numbers} |")


if __name__ == "__main__":
    main()
