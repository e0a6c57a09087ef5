// The fixed vectors of signs with which residuals are estimated, the same on every backend.
#pragma once

#include "core/view.h"

namespace curvblas {

/// Element i of vector `probe`: +1 or -1, the same for all sizes, so that a probe does not depend on where a matrix
/// stands.
CURVBLAS_DEVICE inline double probe_sign(Index probe, Index i) {
    std::uint64_t h = (static_cast<std::uint64_t>(i) + 1) * 0x9e3779b97f4a7c15u ^
                      (static_cast<std::uint64_t>(probe) + 1) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 31) * 0x94d049bb133111ebu;
    return h >> 63 ? 1 : -1;
}

}  // namespace curvblas
