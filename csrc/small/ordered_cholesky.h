// Cholesky factors of small Gram matrices whose rows may depend on each other.
#pragma once

#include <cmath>

#include "core/view.h"
#include "small/rolled.h"

namespace curvblas {

/// x <- L^-1 x, column by column: what is subtracted next waits for nothing but the last quotient; or x <- L^-T x.
CURVBLAS_DEVICE inline void solve_lower(const double* L, Index m, Index n, double* x) {
    CURVBLAS_ROLLED
    for (Index k = 0; k < n; ++k) {
        const double done = x[k] / L[k * m + k];
        x[k] = done;
        CURVBLAS_ROLLED
        for (Index p = k + 1; p < n; ++p) x[p] -= L[p * m + k] * done;
    }
}
CURVBLAS_DEVICE inline void solve_lower_transposed(const double* L, Index m, Index n, double* x) {
    CURVBLAS_ROLLED
    for (Index p = n - 1; p >= 0; --p) {
        CURVBLAS_ROLLED
        for (Index k = p + 1; k < n; ++k) x[p] -= L[k * m + p] * x[k];
        x[p] /= L[p * m + p];
    }
}

/// L L^T = G for the rows `order[0 .. count)` of a Gram matrix `gram(i, j)`, taken in that order: L (m, m), whose row p
/// is that of row order[p]. A row that depends on those before it, whose pivot is at most `least` times `size(i)`, or
/// what rounding makes of it where pivots before it are small, is taken out of `order`. Returns how many are left.
/// `worst` becomes the largest size(i) over its pivot, of those that are left.
template <class Gram, class Size>
CURVBLAS_DEVICE inline Index ordered_cholesky(const Gram& gram, const Size& size, double least, Index count,
                                              double* order, Index m, double* L, double* worst) {
    constexpr double rounding = 16 * 2.220446049250313e-16;
    Index rank = 0;
    *worst = 1;
    CURVBLAS_ROLLED
    for (Index p = 0; p < count; ++p) {
        const Index i = static_cast<Index>(order[p]);
        double* const row = L + rank * m;
        double pivot = gram(i, i);
        CURVBLAS_ROLLED
        for (Index q = 0; q < rank; ++q) row[q] = gram(i, static_cast<Index>(order[q]));
        solve_lower(L, m, rank, row);
        CURVBLAS_ROLLED
        for (Index q = 0; q < rank; ++q) pivot -= row[q] * row[q];
        const double share = fmax(least, rounding * static_cast<double>(rank) * *worst), own = size(i);
        if (!(pivot > share * own)) continue;  // a row of zeros, too
        row[rank] = sqrt(pivot);
        if (own > *worst * pivot) *worst = own / pivot;
        order[rank++] = static_cast<double>(i);
    }
    return rank;
}

}  // namespace curvblas
