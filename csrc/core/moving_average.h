// The coefficients of every kernel that accumulates: updated = keep old + add sum.
#pragma once

#include <cmath>

#include "core/view.h"

namespace curvblas {

template <class T>
struct MovingAverage {
    T keep, add;

    /// `scale` is null where the caller gave none: then it is (1 - decay) / count, and 0 where there is nothing to
    /// count. A decay outside [0, most] or a scale that is not finite gives keep = 0 and add = NaN: all elements become
    /// NaN.
    CURVBLAS_DEVICE MovingAverage(double decay, const double* scale, Index count, double most = 1) {
        double factor = scale ? *scale : count > 0 ? (1 - decay) / static_cast<double>(count) : 0;
        // NaN fails every comparison, and Inf times 0 is NaN.
        if (!(decay >= 0 && decay <= most && factor * 0 == 0)) decay = 0, factor = NAN;
        keep = static_cast<T>(decay), add = static_cast<T>(factor);
    }
    /// Nothing of `old` is read where decay is 0.
    CURVBLAS_DEVICE T kept(const T& old) const { return keep == T(0) ? T(0) : keep * old; }
};

}  // namespace curvblas
