// What became of one matrix. The numbers are part of the interface: Python's `curvblas.Status` has the same.
#pragma once

#include <cstdint>

namespace curvblas {

enum class Status : std::int8_t {
    ok = 0,
    jittered = 1,  ///< succeeded after adding the reported jitter
    not_positive_definite = 2,
    not_finite = 3,  ///< the input holds NaN or Inf
    no_convergence = 4,
    invalid_parameter = 5,  ///< a bad entry inside an array of parameters
    inaccurate = 6,         ///< finished, but the residual is above 1e-2
};

/// Status ok or jittered promises a residual below this.
constexpr double residual_bound = 1e-2;

/// What a solver does about a matrix that it cannot factorise as it is.
enum class OnFailure : std::uint8_t {
    jitter,  ///< climb the ladder: float64, then growing jitter; NaN at its end
    keep,    ///< leave that matrix of the output untouched
    raise,   ///< as it is or not at all; the caller makes an exception of the status
};

}  // namespace curvblas
