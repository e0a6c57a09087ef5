// Euclidean norms in float64 that neither overflow nor vanish.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/view.h"

namespace curvblas::cpu {

template <class T>
double sum_of_squares(Index n, const T* x, double scale) {
    double sum[4] = {};  // one would be a chain of additions that wait for each other
    Index i = 0;
    const auto square = [&](Index j) {
        return static_cast<double>(x[j]) * scale * (static_cast<double>(x[j]) * scale);
    };
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; ++k) sum[k] += square(i + k);
    for (; i < n; ++i) sum[0] += square(i);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// sqrt(sum_i x_i^2); NaN if an element is NaN, else Inf if one is.
template <class T>
double norm(Index n, const T* x) {
    const double sum = sum_of_squares(n, x, 1.0);
    if (sum > 1e-280 && sum < 1e300) return std::sqrt(sum);
    if (std::isnan(sum)) return sum;
    double largest = 0;  // squares that overflow or vanish: scale by the largest element, as in LAPACK dlassq
    for (Index i = 0; i < n; ++i) largest = std::max(largest, std::abs(static_cast<double>(x[i])));
    if (!(largest > 1e-300) || std::isinf(largest)) return largest;
    return largest * std::sqrt(sum_of_squares(n, x, 1 / largest));
}

}  // namespace curvblas::cpu
