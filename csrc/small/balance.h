// The scale of small symmetric matrices.
#pragma once

#include <cmath>

#include "core/view.h"
#include "small/rolled.h"

namespace curvblas {

/// A <- D A D for symmetric A (n, n) with rows m apart, and d, so that the largest of each row that is not zero is in
/// [1/2, 2), as Ruiz (2001, A scaling algorithm to equilibrate both rows and columns norms in matrices) does, one row
/// after the other. Powers of two: nothing is rounded.
CURVBLAS_DEVICE inline void balance(double* A, Index m, Index n, double* d) {
    constexpr int most_sweeps = 8;  // each halves the exponents of what is off the diagonal at least twice
    CURVBLAS_ROLLED
    for (Index i = 0; i < n; ++i) d[i] = 1;
    bool is_balanced = false;
    CURVBLAS_ROLLED
    for (int sweep = 0; sweep < most_sweeps && !is_balanced; ++sweep) {
        is_balanced = true;
        CURVBLAS_ROLLED
        for (Index i = 0; i < n; ++i) {
            double largest = 0;
            CURVBLAS_ROLLED
            for (Index j = 0; j < n; ++j) largest = fmax(largest, fabs(A[i * m + j]));
            if (!(largest > 0) || (largest >= 0.5 && largest < 2)) continue;
            int exponent;
            frexp(largest, &exponent);
            const double factor = ldexp(1.0, -(exponent >> 1));
            is_balanced = false, d[i] *= factor;
            CURVBLAS_ROLLED
            for (Index j = 0; j < n; ++j) A[i * m + j] *= factor;
            CURVBLAS_ROLLED
            for (Index j = 0; j < n; ++j) A[j * m + i] *= factor;
        }
    }
}

}  // namespace curvblas
