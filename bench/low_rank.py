"""Time products of few long rows, and the low-rank natural gradients over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kalman_peers
import low_rank_peers
import minsr_peers
import online_peers
import tonga_peers
from case import Case, Family
from jobs import Topic, peer, power, topic

OWN_AND_TWO = ("curvblas", "numpy", "torch")


def kinds(peers: Any) -> dict[str, Callable[..., Any]]:
    """Name the classes of a file of peers."""
    return {"curvblas": peers.Curvblas, "numpy": peers.Numpy, "torch": peers.Torch}


def products() -> Topic:
    """List products of rows with each other and with a vector."""
    rows = ((8, 4_000_000, 4.6, 0.8, None), (16, 2_000_000, 3.2, None, None), (32, 2_000_000, 2.3, None, 0.5))
    pairs = []
    for k, n, goal, share, fma in (*rows, (128, 500_000, 1.4, None, 0.65)):
        case = Case(
            "R R^T and R v, float32",
            f"k = {k}, P = {power(n)}",
            flops=float(k * (k + 1) * n + 2 * k * n),
            traffic=4.0 * (k + 1) * n,
            quick=k <= 16,
            peers=OWN_AND_TWO,
            goal_slowdown=1 / goal,
            goal_share=share,
            goal_fma=fma,
        )
        pairs.append((case, (k, n)))
    return topic(pairs, kinds(low_rank_peers))


def windows() -> Topic:
    """List windows of TONGA, for one vector and for many blocks."""
    sizes, long = tonga_peers.BLOCKS, tonga_peers.LONG
    rows = sum(tonga_peers.RANK + i + 1 for i in range(tonga_peers.WINDOW))
    group = f"TONGA, {tonga_peers.WINDOW} steps, float32"
    one = Case(
        group,
        f"P = {power(long)}",
        traffic=2.0 * 4.0 * rows * long,
        peers=OWN_AND_TWO,
        goal_slowdown=1 / 1.3,
        goal_share=0.85,
    )
    many = Case(
        group,
        f"{len(sizes)} blocks of {min(sizes)} ... {max(sizes)}",
        quick=True,
        peers=("curvblas", "numpy", "numpy_batched", "torch"),
        goal_slowdowns={"numpy": 1 / 30, "numpy_batched": 1 / 4},
    )
    return topic([(one, ([long],)), (many, (sizes,))], kinds(tonga_peers) | {"numpy_batched": tonga_peers.NumpyBatched})


def network() -> Topic:
    """List a network whose sides are preconditioned."""
    dims = [dim for dim, _ in online_peers.SIDES]
    per_row = sum(dim * rank for dim, rank in online_peers.SIDES)
    case = Case(
        f"Kaldi's online natural gradient, {online_peers.PERIOD} calls, float32",
        f"12 sides, N = {online_peers.ROWS}, D = {min(dims)} ... {max(dims)}",
        flops=float((4 * online_peers.PERIOD + 2) * online_peers.ROWS * per_row),
        peers=OWN_AND_TWO,
        goal_slowdown=1 / 2,
    )
    return topic([(case, ())], kinds(online_peers))


def samples() -> Topic:
    """List a system in the space of samples."""
    N, P = minsr_peers.ROWS, minsr_peers.COLUMNS
    case = Case(
        "minSR, float32",
        f"N = {N}, P = {power(P)}",
        flops=float(N * (N + 1) * P + 2 * N * P),
        peers=OWN_AND_TWO,
        goal_slowdown=1 / 1.2,
        goal_fma=0.7,
    )
    return topic([(case, ())], kinds(minsr_peers))


def filters() -> Topic:
    """List Kalman filters of parameters: one large covariance, and many small ones."""
    steps, sizes = kalman_peers.STEPS, list(range(10, 110, 10)) * 50
    group = f"Kalman natural gradient, {steps} steps, float32"
    pairs = []
    for n, o in ((2000, 1), (2000, 10)):
        # P is symmetric: a triangle read, the square written, and the square read for H P.
        case = Case(group, f"n = {n}, o = {o}", traffic=steps * 4.0 * 2.5 * n * n, peers=OWN_AND_TWO)
        pairs.append((case, ([n], o)))
    many = Case(group, f"{len(sizes)} blocks of 10 ... 100, o = 10", quick=True, peers=OWN_AND_TWO)
    return topic([*pairs, (many, (sizes, 10))], kinds(kalman_peers))


TOPICS = (products(), windows(), network(), samples(), filters())

FAMILY = Family(
    title="Products of few long rows, and low-rank natural gradients over them",
    cases=[case for topic in TOPICS for case in topic.cases],
    peers={
        "curvblas": peer(TOPICS, "curvblas", "curvblas"),
        "numpy": peer(TOPICS, "numpy"),
        "numpy_batched": peer(TOPICS, "numpy_batched"),
        "torch": peer(TOPICS, "torch", "torch"),
    },
    notes=(
        "R R^T and R v: curvblas in one call, with float64 results; the peers in two products, in float32.",
        f"TONGA: rank {tonga_peers.RANK}, {tonga_peers.WINDOW} gradients a window, of which one is timed as a whole: "
        f"{tonga_peers.WINDOW} steps and the eigendecomposition at the end. Peers: the same recursion, rows in "
        "float32, what is small in float64. numpy: block by block; numpy_batched: blocks of one size as a stack; "
        "torch: block by block.",
        "Kaldi: inputs and outputs of six layers, rank 20 and 80; four calls, after one of which the factors change. "
        "curvblas: one call for all sides; peers: side by side, the efficient form, rows never made orthogonal again.",
        "Kalman: o outputs with a diagonal noise. Peers: block by block, all in float32; curvblas keeps P exactly "
        "symmetric and what is small in float64.",
        "Memory of TONGA: two reads of the rows in use a step, the least that its recursion can do with.",
    ),
)
