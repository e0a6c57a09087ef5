// Small symmetric systems that are not definite.
#pragma once

#include <cmath>

#include "core/view.h"
#include "small/rolled.h"

namespace curvblas {

/// X <- A^-1 X by elimination with rows exchanged, for A (n, n) and X (n, columns); both have rows m apart, A
/// is lost. Returns the smallest pivot over the largest, 0 for a singular A, whose X is not to be used.
CURVBLAS_DEVICE inline double eliminate(double* A, Index m, Index n, double* X, Index columns) {
    double least = 1, most = 0;
    CURVBLAS_ROLLED
    for (Index k = 0; k < n; ++k) {
        Index best = k;
        CURVBLAS_ROLLED
        for (Index i = k + 1; i < n; ++i)
            if (fabs(A[i * m + k]) > fabs(A[best * m + k])) best = i;
        const double pivot = A[best * m + k], size = fabs(pivot);
        if (!(size > 0)) return 0;
        least = k == 0 ? size : fmin(least, size), most = fmax(most, size);
        const auto exchange = [&](double& a, double& b) {
            const double other = a;
            a = b, b = other;
        };
        CURVBLAS_ROLLED
        for (Index j = 0; j < n && best != k; ++j) exchange(A[k * m + j], A[best * m + j]);
        CURVBLAS_ROLLED
        for (Index j = 0; j < columns && best != k; ++j) exchange(X[k * m + j], X[best * m + j]);
        const double inverse = 1 / pivot;
        CURVBLAS_ROLLED
        for (Index i = k + 1; i < n; ++i) {
            const double factor = A[i * m + k] * inverse;
            CURVBLAS_ROLLED
            for (Index j = k + 1; j < n; ++j) A[i * m + j] -= factor * A[k * m + j];
            CURVBLAS_ROLLED
            for (Index j = 0; j < columns; ++j) X[i * m + j] -= factor * X[k * m + j];
        }
    }
    CURVBLAS_ROLLED
    for (Index k = n - 1; k >= 0; --k) {
        CURVBLAS_ROLLED
        for (Index i = k + 1; i < n; ++i) {
            CURVBLAS_ROLLED
            for (Index j = 0; j < columns; ++j) X[k * m + j] -= A[k * m + i] * X[i * m + j];
        }
        const double pivot = A[k * m + k];
        CURVBLAS_ROLLED
        for (Index j = 0; j < columns; ++j) X[k * m + j] /= pivot;
    }
    return n == 0 ? 1 : least / most;
}

}  // namespace curvblas
