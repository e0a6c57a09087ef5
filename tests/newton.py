"""What the tests of damped inverses by Newton-Schulz steps share."""

import numpy as np

from curvblas import Status

import oracle

DAMPING = 0.1


def moved(C, change=1e-2):
    """Return a matrix that has changed a little in every direction."""
    return (C.astype(np.float64) * (1 - change) + change * np.eye(len(C))).astype(C.dtype)


def start_for(C, damping=DAMPING):
    """Return the inverse of what C was."""
    return oracle.damped_inverse(moved(C), damping).astype(C.dtype)


def newton(on, factors, start, damping=DAMPING, **options):
    """Call the method."""
    return on.damped_inverse(factors, damping, method="newton", warm_start=start, **options)


def by_steps(result):
    """Return which matrices have an inverse that no Cholesky factorisation gave."""
    return (result.status == Status.OK) & np.isnan(result.log_det)


def same(a, b):
    """Tell whether two results have the same bits."""
    inverses = (x.inverse if isinstance(x.inverse, list) else [x.inverse] for x in (a, b))
    return all(x.tobytes() == y.tobytes() for x, y in zip(*inverses, strict=True)) and all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ("status", "jitter", "residual", "log_det")
    )


def largest_residual(C, damping):
    """Return what a status of 0 may have."""
    condition = np.linalg.cond(oracle.symmetric(C) + damping * np.eye(len(C)))
    return min(1e-2, 50 * np.finfo(C.dtype).eps * condition * np.sqrt(len(C)))
