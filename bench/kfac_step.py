"""Time the kernels of one K-FAC step on all layers of a network: factors, damped inverses, gradients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

import kfac_peers
from case import Case, Check, Family, Job, Peer
from factor_batch import DECAY, Factor
from groups import GROUPS, Layer
from jobs import distance, times, worst
from kfac_batch import DAMPING, Batch, Step

QUICK = ("autoencoder", "lenet5")

TOLERANCE = 5e-5  # about ten times what a sound float32 answer shows here


@lru_cache(maxsize=1)
def batch_of(group: str) -> Batch:
    """Draw rows and gradients of a group, the same in every process."""
    rng = np.random.default_rng(20)
    layers = GROUPS[group]()
    A = [Factor(rng, layer.in_features, layer.rows, layer.bias) for layer in layers]
    G = [Factor(rng, layer.out_features, layer.rows, False) for layer in layers]
    shapes = [(layer.out_features, layer.in_features) for layer in layers]
    grads = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    return Batch(A, G, grads)


def check_inverses(batch: Batch, step: Step, *, updated: bool) -> Check:
    """Apply ``C + damping I`` to ``X v``, which must give ``v`` again."""
    residuals = []
    for factor, damping, X in zip(batch.factors, batch.damping(updated=updated), step.inverses, strict=True):
        u = times(X, factor.probe)
        C_u = factor.updated_times(u) if updated else factor.start_times(u)
        residuals.append(distance(C_u + damping * u, factor.probe))
    return Check("damped_inverse", worst(residuals), TOLERANCE)


def check_updates(batch: Batch, step: Step) -> Check:
    """Compare ``P v`` with ``G_inv (V (A_inv v))``, for the inverses that the step used."""
    errors = []
    layers = len(batch.grads)
    A_inverses, G_inverses = step.inverses[:layers], step.inverses[layers:]
    for A, V, A_inv, G_inv, P in zip(batch.A, batch.grads, A_inverses, G_inverses, step.updates, strict=True):
        expected = times(G_inv, times(V, times(A_inv, A.probe)))
        errors.append(distance(times(P, A.probe), expected))
    return Check("precondition", worst(errors), TOLERANCE)


def peer(kind: type[Step], *packages: str) -> Peer:
    """Make a peer of a step; each case starts again from the same factors."""

    @lru_cache(maxsize=1)  # one for all operations of a group: the fresh pages of a large one cost seconds
    def step_of(group: str) -> Step:
        return kind(batch_of(group))

    def job(case: Case) -> Job:
        batch, step = batch_of(case.group), step_of(case.group)
        step.restart()
        checks = {
            "update_factors": lambda: [step.check()],
            "damped_inverse": lambda: [check_inverses(batch, step, updated=False)],
            "precondition": lambda: [check_updates(batch, step)],
            "step": lambda: [
                step.check(),
                check_inverses(batch, step, updated=True),
                check_updates(batch, step),
            ],
        }
        return Job(getattr(step, case.operation), checks[case.operation])

    return Peer(job, packages)


def cost(operation: str, layers: Sequence[Layer]) -> tuple[float, float]:
    """Return least flops and bytes: N d^2 a factor, n^3 an inverse, 2 m n (m + n) a gradient."""
    flops = traffic = 0.0
    for m, n, rows, _ in layers:
        if operation in ("update_factors", "step"):
            flops += rows * (m**2 + n**2)
            traffic += 4 * (rows * (m + n) + 2 * (m**2 + n**2))
        if operation in ("damped_inverse", "step"):
            flops += m**3 + n**3
            traffic += 4 * 2 * (m**2 + n**2)
        if operation in ("precondition", "step"):
            flops += 2 * m * n * (m + n)
            traffic += 4 * (m**2 + n**2 + 2 * m * n)
    return flops, traffic


def cases() -> list[Case]:
    """List every operation on every group."""
    result = []
    for group, table in GROUPS.items():
        for operation in ("update_factors", "damped_inverse", "precondition", "step"):
            flops, traffic = cost(operation, table())
            result.append(Case(group, operation, flops, traffic, quick=group in QUICK))
    return result


FAMILY = Family(
    title="One K-FAC step on all layers of a network, float32",
    cases=cases(),
    peers={
        "curvblas": peer(kfac_peers.Curvblas, "curvblas"),
        "numpy": peer(kfac_peers.Numpy),
        "scipy": peer(kfac_peers.Scipy, "scipy"),
        "torch": peer(kfac_peers.Torch, "torch"),
        "torch_kfac": peer(kfac_peers.TorchKfac, "torch"),
    },
    notes=(
        f"Decay {DECAY}, damping {DAMPING} split between A and G. curvblas takes the whole group in a call.",
        "Rows: autoencoder 1000 cases; lenet5 64 cases, of 784 and 100 patches in its convolutions; "
        "bert_block 1024 tokens; resnet50 a sample of 256 patches a factor.",
        "numpy.linalg computes float32 in float64: its inverse is more work, and more accurate.",
        "scipy: ssyrk with the moving average inside, potrf + potri, both mirrored. torch: addmm_, "
        "cholesky_ex + cholesky_inverse, buffers reused. torch_kfac: as K-FAC packages do it, linalg.inv.",
    ),
)
