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
    "tango",
    "unitwise",
    "whitening",
]
