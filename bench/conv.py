"""Time the factor of a convolution: all patches of a batch, with or without forming them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import conv_peers
from case import Case, Family, Job, Peer
from conv_peers import Convolution, Layered, Patches
from factor_batch import DECAY

# Name, layer, how many times as fast as the best peer we should be, whether --quick has it.
LAYERS: list[tuple[str, str, Convolution, float | None, bool]] = [
    ("3x3", "C=64 56x56", Convolution(16, 64, (56, 56), (3, 3), padding=1), 4.5, False),
    ("3x3", "C=128 28x28", Convolution(16, 128, (28, 28), (3, 3), padding=1), 4.5, True),
    ("3x3", "C=256 14x14", Convolution(16, 256, (14, 14), (3, 3), padding=1), 4.5, False),
    ("3x3", "C=512 7x7", Convolution(16, 512, (7, 7), (3, 3), padding=1), 3.0, False),
    ("larger kernels", "5x5 C=32 14x14", Convolution(64, 32, (14, 14), (5, 5), padding=2), 10.0, True),
    ("larger kernels", "7x7 C=16 28x28", Convolution(16, 16, (28, 28), (7, 7), padding=3), 10.0, False),
    ("stride 2", "3x3 C=128 56x56", Convolution(16, 128, (56, 56), (3, 3), stride=2, padding=1), 1.3, False),
    ("stride 2", "ResNet stem 7x7 C=3 224x224", Convolution(4, 3, (224, 224), (7, 7), stride=2, padding=3), 3.0, True),
    ("LeNet-5", "C1 5x5 C=1 28x28", Convolution(64, 1, (28, 28), (5, 5), padding=2), 2.0, True),
    ("LeNet-5", "C3 5x5 C=6 14x14", Convolution(64, 6, (14, 14), (5, 5)), 2.0, True),
    ("1-D and 3-D", "5 C=64 1000", Convolution(16, 64, (1000,), (5,), padding=2), None, True),
    ("1-D and 3-D", "3x3x3 C=32 16x16x16", Convolution(4, 32, (16, 16, 16), (3, 3, 3), padding=1), None, False),
]
KFAC_JAX_CASE = "LeNet-5/C3 5x5 C=6 14x14"
BY_NAME = {f"{group}/{operation}": layer for group, operation, layer, _, _ in LAYERS}


def peer(kind: Callable[[Sequence[Patches]], Layered], *packages: str) -> Peer:
    """Make a peer of an update."""

    def job(case: Case) -> Job:
        return kind([Patches(np.random.default_rng(20), BY_NAME[case.name])]).job()

    return Peer(job, packages)


PEERS = {
    "curvblas": peer(conv_peers.Curvblas, "curvblas"),
    "numpy": peer(conv_peers.Numpy),
    "scipy": peer(conv_peers.Scipy, "scipy"),
    "torch": peer(conv_peers.Torch, "torch"),
    "torch_kfac": peer(conv_peers.TorchKfac, "torch"),
    "jax": peer(conv_peers.Jax, "jax"),
    "mkl": peer(conv_peers.Mkl, "mkl"),
    "kfac_jax": peer(conv_peers.KfacJax, "kfac_jax"),
}


def cases() -> list[Case]:
    """List the layers; flops are those of a SYRK of the patches."""
    result = []
    for group, operation, layer, goal, quick in LAYERS:
        n, inputs = layer.size, layer.batch * layer.channels * np.prod(layer.spatial)
        case = Case(
            group,
            operation,
            flops=float(layer.batch * layer.positions * n * (n + 1)),
            traffic=4.0 * float(inputs + 2 * n**2),
            quick=quick,
            peers=tuple(name for name in PEERS if name != "kfac_jax" or f"{group}/{operation}" == KFAC_JAX_CASE),
            goal_slowdown=None if goal is None else 1 / goal,
        )
        result.append(case)
    return result


FAMILY = Family(
    title="Factors of convolutions, float32: all patches of a batch",
    cases=cases(),
    peers=PEERS,
    notes=(
        f"C <- {DECAY} C + {1 - DECAY:.2f} / N times the sum of a a^T over all patches a, the full symmetric matrix in "
        "place, from channels-first inputs. C is the number of channels of a case. Batches: 16 cases; 64 of LeNet-5 "
        "and 5x5, 4 of the ResNet stem and 3-D.",
        "FMA: the flops of a SYRK of the patches, N T n (n + 1), in our time; above 100 % the patches' structure was "
        "used. Memory: inputs and factor, no patches.",
        "numpy, scipy, mkl: patches as rows or as columns, in buffers that are kept, and SYRK; torch: unfold, and one "
        "product or one for each case; each in the way that was fastest just before. torch_kfac: unfold, transpose, "
        "reshape, divide, multiply, average, as K-FAC packages do it. jax: conv_general_dilated_patches.",
        "kfac_jax: patches_moments is made for accelerators, and is asked for one small case only.",
    ),
)
