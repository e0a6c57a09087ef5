"""Natural-gradient and second-order methods, each a thin layer over the kernels."""

from . import (
    dice,
    exact,
    families,
    kalman,
    kfac,
    natural_q,
    newton,
    prong,
    relative_fisher,
    spectrum,
    subsampled_newton,
    tango,
    unitwise,
    whitening,
)

__all__ = [
    "dice",
    "exact",
    "families",
    "kalman",
    "kfac",
    "natural_q",
    "newton",
    "prong",
    "relative_fisher",
    "spectrum",
    "subsampled_newton",
    "tango",
    "unitwise",
    "whitening",
]
