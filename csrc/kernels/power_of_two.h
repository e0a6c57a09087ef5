// Scaling by powers of two, which is exact: what keeps matrices near overflow and denormal ones in the middle of the
// range.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/view.h"

namespace curvblas {

/// 2^exponent for -1022 <= exponent <= 1023.
CURVBLAS_DEVICE inline double power_of_two(int exponent) {
    const std::uint64_t bits = static_cast<std::uint64_t>(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/// h such that 4^-h x is in [1/4, 4) for a normal x > 0; 0 for 0, and at most 500 in magnitude, so that 4^-h is finite.
/// What is denormal becomes normal, what overflows when doubled does not.
CURVBLAS_DEVICE inline int half_exponent_of(double x) {
    if (!(x > 0)) return 0;
    std::uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
    const int half = exponent / 2;
    return half < -500 ? -500 : half > 500 ? 500 : half;
}

}  // namespace curvblas
