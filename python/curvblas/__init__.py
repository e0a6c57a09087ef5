"""curvblas, the BLAS of curvature: kernels for second-order and natural-gradient optimisation."""

from importlib.metadata import version

from ._backend import get_num_threads, info, set_num_threads
from ._minimize import MinimizeResult
from .cholesky import CholeskyResult, cholesky_solve, damped_cholesky, triangular_solve
from .convolution import conv_workspace_bytes, update_conv_factors
from .damping import factored_damping, factored_dampings
from .eigen import Eigenbasis, eigenbasis
from .ekfac import update_ekfac_moments
from .errors import NotPositiveDefiniteError, Status
from .inverse_free import update_inverse_free
from .kalman import KalmanNaturalGradient
from .kron_sum import KronSumResult, kron_sum_solve
from .kronecker import (
    InverseResult,
    all_finite,
    damped_inverse,
    update_factors,
)
from .lbfgs import LBFGS, lbfgs_direction
from .line_search import WolfeSearchResult, wolfe_search
from .low_rank import gram, gram_products, low_rank_solve
from .lsr1 import LSR1
from .minimize_lbfgs import minimize_lbfgs
from .minimize_lsr1 import minimize_lsr1
from .online_natural_gradient import OnlineNaturalGradient
from .packing import pack_symmetric, unpack_symmetric
from .preconditioning import PreconditionResult, precondition, precondition_eigen, precondition_with_inner
from .quasi_newton import TrustRegionStep, lsr1_matvec, lsr1_step, trust_region_step
from .recurrent import update_lagged_factors
from .roots import RootResult, inverse_root, newton_schulz
from .sample_space import SampleSpaceResult, sample_space_solve
from .sample_space_layers import layer_gram, sample_space_solve_layers
from .simple_natural_gradient import average_parameters, simple_natural_gradient
from .tonga import TONGA
from .unitwise import (
    QuasiDiagonalResult,
    accumulate_quasi_diagonal,
    solve_quasi_diagonal,
    update_unit_moments,
)

__version__ = version("curvblas")

__all__ = [
    "LBFGS",
    "LSR1",
    "TONGA",
    "CholeskyResult",
    "Eigenbasis",
    "InverseResult",
    "KalmanNaturalGradient",
    "KronSumResult",
    "MinimizeResult",
    "NotPositiveDefiniteError",
    "OnlineNaturalGradient",
    "PreconditionResult",
    "QuasiDiagonalResult",
    "RootResult",
    "SampleSpaceResult",
    "Status",
    "TrustRegionStep",
    "WolfeSearchResult",
    "accumulate_quasi_diagonal",
    "all_finite",
    "average_parameters",
    "cholesky_solve",
    "conv_workspace_bytes",
    "damped_cholesky",
    "damped_inverse",
    "eigenbasis",
    "factored_damping",
    "factored_dampings",
    "get_num_threads",
    "gram",
    "gram_products",
    "info",
    "inverse_root",
    "kron_sum_solve",
    "layer_gram",
    "lbfgs_direction",
    "low_rank_solve",
    "lsr1_matvec",
    "lsr1_step",
    "minimize_lbfgs",
    "minimize_lsr1",
    "newton_schulz",
    "pack_symmetric",
    "precondition",
    "precondition_eigen",
    "precondition_with_inner",
    "sample_space_solve",
    "sample_space_solve_layers",
    "set_num_threads",
    "simple_natural_gradient",
    "solve_quasi_diagonal",
    "triangular_solve",
    "trust_region_step",
    "unpack_symmetric",
    "update_conv_factors",
    "update_ekfac_moments",
    "update_factors",
    "update_inverse_free",
    "update_lagged_factors",
    "update_unit_moments",
    "wolfe_search",
]
