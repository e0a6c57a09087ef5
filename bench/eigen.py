"""Time eigenvectors of symmetric matrices, from nothing and from an earlier basis; and inverse fourth roots."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import eigen_peers
import root_peers
from case import Case, Family, Job, Peer
from matrices import Matrices, changed, rotated, stack_of
from solver_peers import LONG_ROWS, Solver

SMALL, SMALL_GOAL = (8, 32), 5.0
LARGE, ONE_GOAL, GROUP, GROUP_GOAL = (256, 1024), 1.0, 16, 1.5
CHANGES = (0.001, 0.01)
ROOTS, ROOT_ROWS, ROOT_GOAL = 64, 128, 1.5
WARM = ((1000, 32), (1, 256), (1, 1024))

LAPACK = ("curvblas", "numpy", "scipy", "torch", "jax", "mkl", "openblas")
STACKED = ("curvblas", "numpy", "torch", "jax", "mkl", "openblas", "eigen")


class Shape(NamedTuple):
    """What a case decomposes: a stack, and by how much it has changed since an earlier basis."""

    members: int
    n: int
    dtype: str
    change: float = 0.0

    def draw(self) -> Matrices:
        """Draw it."""
        now = stack_of(rotated, self.members, self.n, self.dtype)
        return changed(now, self.change) if self.change else now


def bytes_of(shape: Shape) -> float:
    """Return the bytes of a matrix and its eigenvectors."""
    return 2.0 * shape.members * shape.n**2 * (4 if shape.dtype == "float32" else 8)


def cold() -> list[tuple[Case, Shape]]:
    """List what has no earlier basis."""
    result = []
    for dtype in ("float32", "float64"):
        for n in SMALL:
            shape = Shape(1000, n, dtype)
            case = Case(
                f"stacks, {dtype}",
                f"1000 of n = {n}",
                traffic=bytes_of(shape),
                bandwidth="copy",
                dtype=dtype,
                quick=dtype == "float32",
                peers=STACKED,
                goal_slowdown=1 / SMALL_GOAL,
            )
            result.append((case, shape))
    for members, goal in ((1, ONE_GOAL), (GROUP, GROUP_GOAL)):
        for n in LARGE:
            name = f"n = {n}" if members == 1 else f"{members} of n = {n}"
            case = Case(
                "large, float32", name, quick=members == 1 and n == LARGE[0], peers=LAPACK, goal_slowdown=1 / goal
            )
            result.append((case, Shape(members, n, "float32")))
    return result


def warm() -> list[tuple[Case, Shape]]:
    """List small changes: ours from the earlier basis, beside ours from nothing."""
    result = []
    for members, n in WARM:
        for change in CHANGES:
            name = f"{members} of n = {n}" if members > 1 else f"n = {n}"
            case = Case(
                "from an earlier basis, float32",
                f"{name}, changed by {change:.1%}",
                quick=n < LARGE[1],
                peers=("curvblas_warm", "curvblas", "torch"),
            )
            result.append((case, Shape(members, n, "float32", change)))
    return result


def roots() -> list[tuple[Case, Shape]]:
    """List the inverse fourth roots."""
    case = Case(
        "inverse 4th roots, float32",
        f"{ROOTS} of n = {ROOT_ROWS}",
        quick=True,
        peers=("curvblas", "curvblas_newton", "numpy", "torch", "jax"),
        goal_slowdown=1 / ROOT_GOAL,
    )
    return [(case, Shape(ROOTS, ROOT_ROWS, "float32"))]


COLD, CHANGED, ROOTED = cold(), warm(), roots()
SHAPES = {case.name: shape for case, shape in (*COLD, *CHANGED, *ROOTED)}
ROOT_NAMES = {case.name for case, _ in ROOTED}


def peer(
    kind: Callable[[Matrices], Solver],
    *packages: str,
    root: Callable[[Matrices], Solver] | None = None,
    native: str = "",
) -> Peer:
    """Make a peer that decomposes what the case says, or takes its roots."""

    def job(case: Case) -> Job:
        solver = root if root is not None and case.name in ROOT_NAMES else kind
        return solver(SHAPES[case.name].draw()).job()

    return Peer(job, packages, native)


FAMILY = Family(
    title="Eigenvectors of symmetric matrices, and inverse fourth roots",
    cases=[case for case, _ in (*COLD, *CHANGED, *ROOTED)],
    peers={
        "curvblas": peer(eigen_peers.Curvblas, "curvblas", root=root_peers.Curvblas),
        "curvblas_warm": peer(eigen_peers.CurvblasWarm, "curvblas"),
        "curvblas_newton": peer(root_peers.CurvblasNewton, "curvblas"),
        "numpy": peer(eigen_peers.Numpy, root=root_peers.Numpy),
        "scipy": peer(eigen_peers.Scipy, "scipy"),
        "torch": peer(eigen_peers.Torch, "torch", root=root_peers.Torch),
        "jax": peer(eigen_peers.Jax, "jax", root=root_peers.Jax),
        "mkl": peer(eigen_peers.Mkl, "mkl", native="native_loops"),
        "openblas": peer(eigen_peers.OpenBlas, "scipy_openblas32", native="native_loops"),
        "eigen": peer(eigen_peers.Eigen, native="native_eigen"),
    },
    notes=(
        "All eigenvalues and eigenvectors; curvblas in one call, with its statuses, residuals and canonical signs. "
        "Spectra that decay, in random bases.",
        "mkl, openblas: a C loop over threads around syevd; a single matrix on one thread or on the library's. scipy: "
        f"syevd or syevr. eigen: SelfAdjointEigenSolver. torch: of roots eigenvectors or {root_peers.NEWTON_STEPS} "
        f"Newton steps. Each in the way that was fastest just before; of n >= {LONG_ROWS} the first.",
        "From an earlier basis: of the factor before a moving average changed it by so much; curvblas_warm is curvblas "
        'with warm_start, curvblas the same from nothing. curvblas_newton: the roots by method="newton".',
    ),
)
