"""Factors of plain rows: one dense matrix, the whole group of a network, rows in half precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

import factor_peers
from case import Case, Job
from factor_batch import Accumulation, Factor
from groups import GROUPS
from jobs import Topic
from kfac_step import batch_of, cost

# Our time over the best peer's, by size and for whole groups; and over a PyTorch K-FAC's for whole groups.
GOALS = {16: 1 / 2, 64: 1 / 2, 128: 1 / 2, 256: 1 / 1.5, 768: 1 / 1.2, 3072: 1.0}
GROUP_GOAL, USUAL_GOAL = 1 / 1.5, 1 / 4
HALF_ROWS, HALF_SIZE = 4096, 768
HALVES = f"half-precision rows, {HALF_ROWS} x {HALF_SIZE}"

PEERS: dict[str, type[Accumulation]] = {
    "curvblas": factor_peers.Curvblas,
    "numpy": factor_peers.Numpy,
    "scipy": factor_peers.Scipy,
    "torch": factor_peers.Torch,
    "torch_kfac": factor_peers.TorchKfac,
    "jax": factor_peers.Jax,
    "mkl": factor_peers.Mkl,
}
HALF_PEERS = {name: kind for name, kind in PEERS.items() if name != "torch_kfac"} | {
    "curvblas_float32": factor_peers.CurvblasFloat32
}


@lru_cache(maxsize=1)
def dense(rows: int, d: int, dtype: str = "float32") -> list[Factor]:
    """Draw one factor, the same in every process; its rows are rounded to the dtype, and the oracle knows these."""
    factor = Factor(np.random.default_rng(20), d, rows, bias=False)
    if dtype == "bfloat16":
        import ml_dtypes  # gives NumPy the type

        factor.X = factor.X.astype(ml_dtypes.bfloat16)
    else:
        factor.X = factor.X.astype(dtype, copy=False)
    return [factor]


def sources_of(case: Case) -> Sequence[Factor]:
    """Draw what the case updates."""
    if case.group in GROUPS:
        return batch_of(case.group).factors
    if case.group == HALVES:
        return dense(HALF_ROWS, HALF_SIZE, case.operation)
    rows, d = (int(text.partition("=")[2]) for text in (case.group, case.operation))
    return dense(rows, d)


def maker(kind: type[Accumulation]) -> Callable[[Case], Job]:
    """Make what makes a job of a case."""
    return lambda case: kind(sources_of(case)).job()


def dense_cases() -> list[Case]:
    """One matrix, by the number of rows and the size."""
    result = []
    for rows, sizes in ((4096, GOALS), (65536, [d for d in GOALS if d < 3072])):
        for d in sizes:
            flops, traffic = float(rows * d * (d + 1)), 4.0 * (rows * d + 2 * d**2)
            quick = rows == 4096 and d <= 256
            goal = GOALS[d]
            case = Case(f"N={rows}", f"d={d}", flops, traffic, quick=quick, peers=tuple(PEERS), goal_slowdown=goal)
            result.append(case)
    return result


def group_cases() -> list[Case]:
    """All factors of a network in one call."""
    result = []
    for group in ("autoencoder", "lenet5", "bert_block", "resnet50"):
        flops, traffic = cost("update_factors", GROUPS[group]())
        case = Case(
            group,
            "update_factors",
            flops,
            traffic,
            quick=group in {"autoencoder", "lenet5"},
            peers=tuple(PEERS),
            goal_slowdown=GROUP_GOAL,
            goal_slowdowns={"torch_kfac": USUAL_GOAL},
        )
        result.append(case)
    return result


def half_cases() -> list[Case]:
    """Rows in half precision; ours should be no slower than from float32 rows of the same values."""
    flops = float(HALF_ROWS * HALF_SIZE * (HALF_SIZE + 1))
    traffic = 2.0 * HALF_ROWS * HALF_SIZE + 8.0 * HALF_SIZE**2
    return [
        Case(
            HALVES,
            dtype,
            flops,
            traffic,
            quick=True,
            packages=packages,
            peers=tuple(HALF_PEERS),
            goal_slowdowns={"curvblas_float32": 1.0},
        )
        for dtype, packages in (("float16", ()), ("bfloat16", ("ml_dtypes",)))
    ]


DENSE = Topic(dense_cases(), {name: maker(kind) for name, kind in PEERS.items()})
WHOLE = Topic(group_cases(), {name: maker(kind) for name, kind in PEERS.items()})
HALF = Topic(half_cases(), {name: maker(kind) for name, kind in HALF_PEERS.items()})
