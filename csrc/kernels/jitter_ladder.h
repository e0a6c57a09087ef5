// The jitters that a factorisation is tried again with: the steps of OnFailure::jitter, the same on every backend.
#pragma once

#include "core/view.h"

namespace curvblas {

/// jitter = max(4 n eps, 1e-8) 10^j size for j = 0, 1, ... up to 1e-2 size, with size = max(mean |C_ii|, damping); eps
/// is that of the dtype of C (n, n), whatever precision the attempts have.
class JitterLadder {
  public:
    CURVBLAS_DEVICE JitterLadder(Index n, double epsilon, double sum_of_diagonal, double damping)
        : relative_(4 * static_cast<double>(n) * epsilon), size_(sum_of_diagonal / static_cast<double>(n)) {
        if (relative_ < 1e-8) relative_ = 1e-8;
        if (size_ < damping) size_ = damping;
    }
    CURVBLAS_DEVICE bool has_next() const { return relative_ <= 1e-2; }
    CURVBLAS_DEVICE double next() {
        const double jitter = relative_ * size_;
        relative_ *= 10;
        return jitter;
    }

  private:
    double relative_, size_;
};

}  // namespace curvblas
