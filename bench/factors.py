"""Time the updates of Kronecker factors, their packed form, and E-KFAC's second moments."""

from __future__ import annotations

import factor_ekfac
import factor_maps
import factor_packed
import factor_rows
from case import Family
from factor_batch import DECAY
from jobs import peer

TOPICS = (
    factor_rows.DENSE,
    factor_rows.WHOLE,
    factor_rows.HALF,
    factor_maps.TOPIC,
    factor_packed.TOPIC,
    factor_ekfac.TOPIC,
)

FAMILY = Family(
    title="Kronecker factors, float32: updates, packed form, E-KFAC moments",
    cases=[case for topic in TOPICS for case in topic.cases],
    peers={
        "curvblas": peer(TOPICS, "curvblas", "curvblas"),
        "numpy": peer(TOPICS, "numpy"),
        "scipy": peer(TOPICS, "scipy", "scipy"),
        "torch": peer(TOPICS, "torch", "torch"),
        "torch_kfac": peer(TOPICS, "torch_kfac", "torch"),
        "jax": peer(TOPICS, "jax", "jax"),
        "mkl": peer(TOPICS, "mkl", "mkl"),
        "curvblas_float32": peer(TOPICS, "curvblas_float32", "curvblas"),
    },
    notes=(
        f"Updates: C <- {DECAY} C + {1 - DECAY:.2f} / N X^T X, the full symmetric matrix in place. All peers leave the "
        "same; whole groups with all that belongs to it (bias columns), curvblas in one call.",
        "scipy, mkl: ssyrk with the moving average inside, then a mirror image by tiles. torch: addmm_. torch_kfac: as "
        "K-FAC packages do it. jax: compiled for the whole group, the old factors' memory donated.",
        "Half-precision rows: peers convert them to float32; mkl may multiply them as they are. curvblas_float32 is "
        "curvblas on the same values in float32, no peer.",
        "Where a peer has several ways, it is timed in the one that was fastest just before: gathered maps or case by "
        "case; row by row or by precomputed indices; E-KFAC: rows or gradients rotated first.",
        "pack, unpack: the triangle read and written, or the square written; bytes of both over the copy limit, which "
        "a matrix that stays in a cache may exceed.",
    ),
)
