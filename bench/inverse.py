"""Time damped inverses: stacks, single matrices, large ones, lists of many sizes; and from earlier inverses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import inverse_peers
from case import Case, Family, Peer
from inverse_peers import DAMPING, LARGE, Inverse
from matrices import RANDOM_GROUP, Matrices, changed, list_of, plain, rotated, sizes_of, stack_of
from solver_peers import LONG_ROWS

# How many times as fast as the best peer we should be, and as PyTorch: (count, n) -> by dtype.
STACKS: dict[tuple[int, int], dict[str, float]] = {
    (1000, 4): {"float32": 3.0, "float64": 3.0},
    (1000, 8): {"float32": 4.0, "float64": 4.0},
    (1000, 16): {"float32": 6.0, "float64": 6.0},
    (1000, 32): {"float32": 6.5, "float64": 6.5},
    (1000, 64): {"float32": 7.0, "float64": 3.7},
    (64, 128): {"float32": 2.0, "float64": 2.0},
    (64, 256): {"float32": 2.0, "float64": 2.0},
}
USUAL_GOAL, USUAL_ROWS = 17.0, 32
ALONE = (4, 8, 16, 32, 64)
LARGE_ROWS = (1024, 2048, 4096)
TRIANGLE_GOAL, TORCH_GOAL, PEAK_GOAL = 1.15, 1.5, 0.65
LIST_GOAL = 2.0
LISTS = (RANDOM_GROUP[0], "resnet50")
CHANGED_ROWS, CHANGES = (256, 1024), (0.001, 0.01)

EVERYWHERE = ("curvblas", "scipy", "torch", "mkl", "openblas")
BATCHED = (*EVERYWHERE, "numpy", "jax", "eigen")


class Shape(NamedTuple):
    """What a case inverts: a stack, or a list by name; and by how much it has changed since an earlier inverse."""

    members: int
    n: int
    dtype: str
    name: str = ""
    change: float = 0.0

    def draw(self) -> Matrices:
        """Draw it."""
        if self.change:
            return changed(stack_of(rotated, self.members, self.n, self.dtype), self.change)
        return list_of(self.name, self.dtype) if self.name else stack_of(plain, self.members, self.n, self.dtype)


def cost(sizes: list[int], dtype: str) -> tuple[float, float]:
    """Return least flops and bytes: n^3 and two squares a matrix."""
    words = 2.0 * sum(n * n for n in sizes)
    return float(sum(n**3 for n in sizes)), words * (4 if dtype == "float32" else 8)


def stacked() -> list[tuple[Case, Shape]]:
    """List the stacks, by dtype."""
    result = []
    for dtype in ("float32", "float64"):
        for (count, n), goals in STACKS.items():
            flops, traffic = cost([n] * count, dtype)
            case = Case(
                f"stacks, {dtype}",
                f"{count} of n = {n}",
                flops,
                traffic,
                bandwidth="copy",
                dtype=dtype,
                quick=n <= 32 and dtype == "float32",
                peers=BATCHED,
                goal_slowdown=1 / goals[dtype],
                goal_slowdowns={"torch": 1 / USUAL_GOAL} if n <= USUAL_ROWS else {},
            )
            result.append((case, Shape(count, n, dtype)))
    return result


def alone() -> list[tuple[Case, Shape]]:
    """List single small matrices: what a call costs where there is nothing to do beside it."""
    result = []
    for n in ALONE:
        flops, _ = cost([n], "float32")
        case = Case("one matrix, float32", f"n = {n}", flops, quick=n in {8, 64}, peers=BATCHED)
        result.append((case, Shape(1, n, "float32")))
    return result


def large() -> list[tuple[Case, Shape]]:
    """List single large matrices."""
    result = []
    for n in LARGE_ROWS:
        flops, traffic = cost([n], "float32")
        case = Case(
            "one matrix, float32",
            f"n = {n}",
            flops,
            traffic,
            bandwidth="copy",
            quick=n == LARGE_ROWS[0],
            peers=(*EVERYWHERE, "scipy_triangle"),
            goal_slowdowns={"scipy_triangle": 1 / TRIANGLE_GOAL, "torch": 1 / TORCH_GOAL},
            goal_fma=PEAK_GOAL if n == LARGE_ROWS[-1] else None,
        )
        result.append((case, Shape(1, n, "float32")))
    return result


def lists() -> list[tuple[Case, Shape]]:
    """List the groups of many sizes."""
    result = []
    for name in LISTS:
        flops, traffic = cost(sizes_of(name), "float32")
        case = Case(
            "lists, float32",
            name,
            flops,
            traffic,
            bandwidth="copy",
            peers=EVERYWHERE,
            goal_slowdown=1 / LIST_GOAL,
        )
        result.append((case, Shape(0, 0, "float32", name)))
    return result


def warm() -> list[tuple[Case, Shape]]:
    """List small changes: ours from the earlier inverse, beside ours from nothing."""
    result = []
    for n in CHANGED_ROWS:
        for change in CHANGES:
            flops, _ = cost([n], "float32")
            case = Case(
                "from an earlier inverse, float32",
                f"n = {n}, changed by {change:.1%}",
                flops,
                quick=n == CHANGED_ROWS[0],
                peers=("curvblas_newton", "curvblas"),
            )
            result.append((case, Shape(1, n, "float32", change=change)))
    return result


ROWS = [*stacked(), *alone(), *large(), *lists(), *warm()]
SHAPES = {case.name: shape for case, shape in ROWS}


def peer(kind: Callable[[Matrices], Inverse], *packages: str, native: str = "") -> Peer:
    """Make a peer that inverts what the case says."""
    return Peer(lambda case: kind(SHAPES[case.name].draw()).job(), packages, native)


FAMILY = Family(
    title="Damped inverses: stacks, single matrices, lists of many sizes",
    cases=[case for case, _ in ROWS],
    peers={
        "curvblas": peer(inverse_peers.Curvblas, "curvblas"),
        "curvblas_newton": peer(inverse_peers.CurvblasNewton, "curvblas"),
        "numpy": peer(inverse_peers.Numpy),
        "scipy": peer(inverse_peers.Scipy, "scipy"),
        "torch": peer(inverse_peers.Torch, "torch"),
        "jax": peer(inverse_peers.Jax, "jax"),
        "mkl": peer(inverse_peers.Mkl, "mkl", native="native_compact"),
        "openblas": peer(inverse_peers.OpenBlas, "scipy_openblas32", native="native_loops"),
        "eigen": peer(inverse_peers.Eigen, native="native_eigen"),
        "scipy_triangle": peer(inverse_peers.ScipyTriangle, "scipy"),
    },
    notes=(
        f"(C + {DAMPING} I)^-1, the full symmetric matrix, into memory that is kept where the library can; curvblas in "
        "one call, with its statuses, residuals and determinants. FMA: n^3 flops.",
        "numpy.linalg computes float32 in float64, by LU: more work, and more accurate.",
        f"mkl, openblas: a C loop over threads around potrf + potri, of n >= {LARGE} the library's own threads; mkl "
        "also by its compact interface (LU or Cholesky), with interleaving and back, in as many lanes as MKL advises "
        "or as AVX-512 has. eigen: LLT, or its 4 x 4 inverse. "
        "torch, jax: Cholesky or LU, in batches. Each in the way that was fastest just before; of lists and n >= "
        f"{LONG_ROWS} the first.",
        "scipy_triangle: potrf + potri, and no mirror image: less than what all others do.",
        "One matrix of n <= 64: nothing fills the lanes and threads that a stack would; a loop of such calls is what "
        "lists and stacks are for.",
        "From an earlier inverse: of the factor before a moving average changed it by so much; curvblas_newton is "
        'curvblas with method="newton", curvblas the same from nothing.',
        "BLASFEO is no peer: there is no package of it.",
    ),
)
