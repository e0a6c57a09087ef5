"""Time what metrics of units are made of: their matrices, their quasi-diagonal moments, and solutions with these."""

from __future__ import annotations

import unitwise_peers
from case import Case, Family
from jobs import peer, topic
from unitwise_peers import MOMENTS, QUASI_DIAGONAL, SOLUTION, Sizes

MATRICES = [Sizes(512, 256, 10), Sizes(512, 128, 33), Sizes(512, 100, 65), Sizes(512, 100, 257), Sizes(512, 32, 785)]
DIAGONALS = [Sizes(512, 100, 65), Sizes(512, 512, 513), Sizes(2048, 1024, 1025)]
KINDS = {
    "curvblas": unitwise_peers.Curvblas,
    "numpy": unitwise_peers.Numpy,
    "torch": unitwise_peers.Torch,
    "jax": unitwise_peers.Jax,
}


def cases() -> list[tuple[Case, tuple[str, Sizes]]]:
    """List the cases with their arguments; flops are those of symmetric sums."""
    result = []
    for sizes in MATRICES:
        N, q, p = sizes
        case = Case(MOMENTS, sizes.name, 1.0 * N * q * p * (p + 1), 4.0 * (N * (p + q) + 2 * q * p * p), quick=p < 300)
        result.append((case, (MOMENTS, sizes)))
    for sizes in DIAGONALS:
        N, q, p = sizes
        case = Case(QUASI_DIAGONAL, sizes.name, 4.0 * N * q * p, 4.0 * (N * (p + q) + 4 * q * p), quick=p < 600)
        result.append((case, (QUASI_DIAGONAL, sizes)))
    for sizes in DIAGONALS:
        case = Case(SOLUTION, sizes.name, 8.0 * sizes.q * sizes.p, 16.0 * sizes.q * sizes.p, quick=sizes.p < 600)
        result.append((case, (SOLUTION, sizes)))
    return result


TOPIC = topic(cases(), KINDS)

FAMILY = Family(
    title="Metrics of units, float32: a matrix a unit, quasi-diagonal moments and solutions",
    cases=list(TOPIC.cases),
    peers={
        "curvblas": peer([TOPIC], "curvblas", "curvblas"),
        "numpy": peer([TOPIC], "numpy"),
        "torch": peer([TOPIC], "torch", "torch"),
        "jax": peer([TOPIC], "jax", "jax"),
    },
    notes=(
        "N rows, q units, p inputs with the bias: M_k <- 0.95 M_k + 0.05 / N sum_n w_nk r_n r_n^T in place. Peers have "
        "the 1 of the bias in their rows, curvblas appends it.",
        "Where a peer has several ways it is timed in the one that was fastest just before: a stack of products, a "
        "SYRK for each unit (numpy), one product of the weights with the products of all pairs of columns.",
        "Solutions: curvblas computes in float64, looks for NaN and for what is no metric, and gives a status a unit.",
    ),
)
