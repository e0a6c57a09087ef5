"""Time products of few long rows, TONGA by windows, Kaldi's online natural gradient by its periods, and minSR."""

from __future__ import annotations

from collections.abc import Callable

import low_rank_peers
import minsr_peers
import online_peers
import tonga_peers
from case import Case, Family, Job, Peer
from low_rank_peers import Products
from minsr_peers import System
from online_peers import Network
from tonga_peers import BLOCKS, LONG, RANK, WINDOW, Steps

GRAMS = ((8, 4_000_000, 4.6, 0.8, None), (16, 2_000_000, 3.2, None, None), (32, 2_000_000, 2.3, None, 0.5))
LARGE_GRAM = (128, 500_000, 1.4, None, 0.65)
STEP_GOAL, STEP_SHARE, LOOP_GOAL, BATCH_GOAL = 1.3, 0.85, 30.0, 4.0
NETWORK_GOAL, SAMPLES_GOAL = 2.0, 1.2


def grams() -> list[tuple[Case, tuple[int, int]]]:
    """List the products, with their rows and columns."""
    result = []
    for k, n, goal, share, fma in (*GRAMS, LARGE_GRAM):
        case = Case(
            "R R^T and R v, float32",
            f"k = {k}, P = {n:.0e}".replace("e+0", "e"),
            flops=float(k * (k + 1) * n + 2 * k * n),
            traffic=4.0 * (k + 1) * n,
            quick=k <= GRAMS[1][0],
            peers=("curvblas", "numpy", "torch"),
            goal_slowdown=1 / goal,
            goal_share=share,
            goal_fma=fma,
        )
        result.append((case, (k, n)))
    return result


def windows() -> list[tuple[Case, list[int]]]:
    """List the windows of TONGA, with the sizes of their blocks."""
    rows = sum(RANK + i + 1 for i in range(WINDOW))
    one = Case(
        "TONGA, 20 steps, float32",
        f"P = {LONG:.0e}".replace("e+0", "e"),
        traffic=2.0 * 4.0 * rows * LONG,
        peers=("curvblas", "numpy", "torch"),
        goal_slowdown=1 / STEP_GOAL,
        goal_share=STEP_SHARE,
    )
    many = Case(
        "TONGA, 20 steps, float32",
        f"{len(BLOCKS)} blocks of {min(BLOCKS)} ... {max(BLOCKS)}",
        quick=True,
        peers=("curvblas", "numpy", "numpy_batched", "torch"),
        goal_slowdowns={"numpy": 1 / LOOP_GOAL, "numpy_batched": 1 / BATCH_GOAL},
    )
    return [(one, [LONG]), (many, BLOCKS)]


def network() -> Case:
    """Make the case of a network whose sides are preconditioned."""
    dims = [dim for dim, _ in online_peers.SIDES]
    per_row = sum(dim * rank for dim, rank in online_peers.SIDES)
    return Case(
        f"Kaldi's online natural gradient, {online_peers.PERIOD} calls, float32",
        f"12 sides, N = {online_peers.ROWS}, D = {min(dims)} ... {max(dims)}",
        flops=float((4 * online_peers.PERIOD + 2) * online_peers.ROWS * per_row),
        peers=("curvblas", "numpy", "torch"),
        goal_slowdown=1 / NETWORK_GOAL,
    )


def samples() -> Case:
    """Make the case of a system in the space of samples."""
    N, P = minsr_peers.ROWS, minsr_peers.COLUMNS
    return Case(
        "minSR, float32",
        f"N = {N}, P = {P:.0e}".replace("e+0", "e"),
        flops=float(N * (N + 1) * P + 2 * N * P),
        peers=("curvblas", "numpy", "torch"),
        goal_slowdown=1 / SAMPLES_GOAL,
        goal_fma=0.7,
    )


ROWS, STEPS, NETWORK, SAMPLES = grams(), windows(), network(), samples()
SHAPES = {case.name: shape for case, shape in ROWS}
SIZES = {case.name: sizes for case, sizes in STEPS}


def peer(
    products: Callable[[int, int], Products] | None,
    steps: Callable[[list[int]], Steps],
    layers: Callable[[], Network] | None,
    system: Callable[[], System] | None,
    *packages: str,
) -> Peer:
    """Make a peer that does what the case says."""

    def job(case: Case) -> Job:
        if products is not None and case.name in SHAPES:
            return products(*SHAPES[case.name]).job()
        if layers is not None and case.name == NETWORK.name:
            return layers().job()
        if system is not None and case.name == SAMPLES.name:
            return system().job()
        return steps(SIZES[case.name]).job()

    return Peer(job, packages)


FAMILY = Family(
    title="Products of few long rows; TONGA; Kaldi's online natural gradient; minSR",
    cases=[*(case for case, _ in (*ROWS, *STEPS)), NETWORK, SAMPLES],
    peers={
        "curvblas": peer(
            low_rank_peers.Curvblas, tonga_peers.Curvblas, online_peers.Curvblas, minsr_peers.Curvblas, "curvblas"
        ),
        "numpy": peer(low_rank_peers.Numpy, tonga_peers.Numpy, online_peers.Numpy, minsr_peers.Numpy),
        "numpy_batched": peer(None, tonga_peers.NumpyBatched, None, None),
        "torch": peer(low_rank_peers.Torch, tonga_peers.Torch, online_peers.Torch, minsr_peers.Torch, "torch"),
    },
    notes=(
        "R R^T and R v: curvblas in one call, with float64 results; the peers in two products, in float32.",
        f"TONGA: rank {RANK}, {WINDOW} gradients a window, of which one is timed as a whole: {WINDOW} steps and the "
        "eigendecomposition at the end. Peers: the same recursion, rows in float32, what is small in float64. numpy: "
        "block by block; numpy_batched: blocks of one size as a stack; torch: block by block.",
        "Kaldi: inputs and outputs of six layers, rank 20 and 80; four calls, after one of which the factors change. "
        "curvblas: one call for all sides; peers: side by side, the efficient form, rows never made orthogonal again.",
        "Memory of TONGA: two reads of the rows in use a step, the least that its recursion can do with.",
    ),
)
