"""Time ``G_inv V A_inv``: stacks of small gradients, and all layers of a network; and the division in eigenbases."""

from __future__ import annotations

from collections.abc import Callable

import precondition_eigen_peers
import precondition_peers
from case import Case, Family, Job, Peer
from groups import GROUPS
from precondition_peers import LARGE, Layers, Precondition

SIZES = (8, 16, 32, 64)
COUNT = 1000
BMM_GOAL, LIST_GOAL, LIST_SHARE = 2.0, 1.3, 0.85
NETWORK = "resnet50"

STACKED = ("curvblas", "numpy", "torch", "jax", "mkl", "openblas", "libxsmm")
LISTS = ("curvblas", "numpy", "scipy", "torch", "jax", "mkl", "openblas")
BASES = ("curvblas", "numpy", "torch", "jax")


def cost(shapes: list[tuple[int, int]], dtype: str) -> tuple[float, float]:
    """Return least flops and bytes."""
    flops = sum(2 * m * n * (m + n) for m, n in shapes)
    words = sum(m * m + n * n + 2 * m * n for m, n in shapes)
    return float(flops), float(words * (4 if dtype == "float32" else 8))


def network() -> list[tuple[int, int]]:
    """Return the shapes of all layers, the largest first."""
    shapes = [(layer.out_features, layer.in_features) for layer in GROUPS[NETWORK]()]
    return sorted(shapes, key=lambda shape: shape[::-1], reverse=True)


def cases() -> list[tuple[Case, list[tuple[int, int]]]]:
    """List the cases with their shapes."""
    result = []
    for dtype in ("float32", "float64"):
        for n in SIZES:
            shapes = [(n, n)] * COUNT
            flops, traffic = cost(shapes, dtype)
            case = Case(
                f"stacks, {dtype}",
                f"{COUNT} of n = {n}",
                flops,
                traffic,
                dtype=dtype,
                quick=dtype == "float32",
                peers=STACKED,
                goal_slowdowns={"libxsmm": 1.0, "torch": 1 / BMM_GOAL},
            )
            result.append((case, shapes))
    flops, traffic = cost(network(), "float32")
    case = Case(
        "lists, float32",
        NETWORK,
        flops,
        traffic,
        peers=LISTS,
        goal_slowdown=1 / LIST_GOAL,
        goal_fma=LIST_SHARE,
    )
    return [*result, (case, network())]


def divisions() -> list[tuple[Case, list[tuple[int, int]]]]:
    """List the divisions in the eigenbasis: twice the flops."""
    result = []
    for name, shapes, quick in (
        *((f"{COUNT} of n = {n}", [(n, n)] * COUNT, n < SIZES[-1]) for n in SIZES[1:]),
        (NETWORK, network(), False),
    ):
        flops, traffic = cost(shapes, "float32")
        case = Case("in the eigenbasis, float32", name, 2 * flops, traffic, quick=quick, peers=BASES)
        result.append((case, shapes))
    return result


PRODUCTS, DIVISIONS = cases(), divisions()
ROWS = [*PRODUCTS, *DIVISIONS]
SHAPES = {case.name: shapes for case, shapes in ROWS}


def peer(
    kind: Callable[[Layers], Precondition],
    *packages: str,
    division: Callable[[Layers], Precondition] | None = None,
    native: str = "",
) -> Peer:
    """Make a peer that preconditions what the case says, by inverses or in the eigenbasis."""

    def job(case: Case) -> Job:
        way = division if division is not None and case.group == DIVISIONS[0][0].group else kind
        return way(Layers(SHAPES[case.name], case.dtype, stacked=case.operation != NETWORK)).job()

    return Peer(job, packages, native)


FAMILY = Family(
    title="Preconditioning: G_inv V A_inv, and division in the eigenbasis; stacks, all layers of a network",
    cases=[case for case, _ in ROWS],
    peers={
        "curvblas": peer(precondition_peers.Curvblas, "curvblas", division=precondition_eigen_peers.Curvblas),
        "numpy": peer(precondition_peers.Numpy, division=precondition_eigen_peers.Numpy),
        "scipy": peer(precondition_peers.Scipy, "scipy"),
        "torch": peer(precondition_peers.Torch, "torch", division=precondition_eigen_peers.Torch),
        "jax": peer(precondition_peers.Jax, "jax", division=precondition_eigen_peers.Jax),
        "mkl": peer(precondition_peers.Mkl, "mkl", native="native_compact"),
        "openblas": peer(precondition_peers.OpenBlas, "scipy_openblas32", native="native_loops"),
        "libxsmm": peer(precondition_peers.Xsmm, native="native_xsmm"),
    },
    notes=(
        "Square gradients in stacks; all 54 layers of ResNet-50 as a list. Into memory that is kept, where the library "
        "can.",
        f"mkl, openblas: a C loop over threads around gemm, of n >= {LARGE} the library's own threads; mkl of stacks "
        "also gemm_batch_strided, and its compact interface with interleaving and back; in the way that was fastest "
        "just before. libxsmm: a C++ loop over threads around kernels generated for the size.",
        "In the eigenbasis: G_vectors ((G_vectors^T V A_vectors) / (G_values A_values^T + damping)) A_vectors^T, four "
        "products; bases as they are kept, orthogonal or not.",
        "No peers: BLASFEO, of which there is no package; Eigen, whose products took 2 to 4 times LIBXSMM's time.",
    ),
)
