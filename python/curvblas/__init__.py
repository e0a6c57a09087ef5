"""curvblas, the BLAS of curvature: kernels for second-order and natural-gradient optimisation."""

from importlib.metadata import version

from ._backend import get_num_threads, info, set_num_threads
from .convolution import conv_workspace_bytes, update_conv_factors
from .errors import NotPositiveDefiniteError, Status
from .kronecker import (
    InverseResult,
    all_finite,
    damped_inverse,
    factored_damping,
    precondition,
    update_factors,
)

__version__ = version("curvblas")

__all__ = [
    "InverseResult",
    "NotPositiveDefiniteError",
    "Status",
    "all_finite",
    "conv_workspace_bytes",
    "damped_inverse",
    "factored_damping",
    "get_num_threads",
    "info",
    "precondition",
    "set_num_threads",
    "update_conv_factors",
    "update_factors",
]
