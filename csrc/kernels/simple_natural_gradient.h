// What Kaldi's "simple" preconditioner needs beside products and inverses; see algorithms/simple_natural_gradient.h.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// shift[0] = (N - 1) alpha tr(K) / (N D) for K = X X^T or X^T X, of X (N, D), or 1 where that is zero; shift[1] =
/// tr(K).
struct SimpleShift {
    Matrix<const double> K;
    Index N, D;
    double alpha;
    double* shift;

    CURVBLAS_DEVICE void work() const {
        double trace = 0;
        for (Index i = 0; i < K.rows; ++i) trace += K(i, i);
        const double own =
            static_cast<double>(N - 1) * alpha * trace / (static_cast<double>(N) * static_cast<double>(D));
        shift[0] = own == 0 ? 1 : own, shift[1] = trace;
    }
};

/// Row n of P = shift X (X^T X + shift I)^-1 becomes its preconditioned one but for a factor common to all: times 1 /
/// (1 - x_n . P_n / shift), which takes case n out of the moment. `inverse` (no data: D < N) is (X X^T + shift I)^-1,
/// which says the same without cancellation: 1 - x_n . P_n / shift = shift inverse(n, n). sums[n] receives the squares
/// of the new row, and those of x_n at N + n.
template <class T>
struct SimpleRows {
    Matrix<const T> X;
    Matrix<const double> inverse;
    const double* shift;
    Matrix<T> P;
    double* sums;

    /// From x . x, x . p and p . p: the factor of row n; stores its sums.
    CURVBLAS_DEVICE double factor(Index n, double xx, double xp, double pp) const {
        // Never less than what the case alone would leave.
        const double least = *shift / (xx + *shift);
        const double rest = inverse.data ? *shift * inverse(n, n) : fmax(1 - xp / *shift, least);
        sums[n] = pp / (rest * rest), sums[X.rows + n] = xx;
        return 1 / rest;
    }
};

/// Rows of P times what gives P the sum of squares of X: NaN where K, which is formed in T, does not have it too,
/// because squares of T overflow or vanish, and where K has no `inverse` without a jitter.
template <class T>
struct SimpleGain {
    Matrix<T> P;
    const double *shift, *sums;
    const Status* inverse;

    CURVBLAS_DEVICE double factor() const {
        double after = 0, before = 0;
        for (Index n = 0; n < P.rows; ++n) after += sums[n], before += sums[P.rows + n];
        if (*inverse != Status::ok || !(fabs(shift[1] - before) <= 1e-3 * before)) return NAN;
        return before == 0 ? 1 : sqrt(before / after);
    }
};

/// B <- factor A, rounded.
template <class T>
struct SimpleRound {
    Matrix<const double> A;
    const double* factor;
    Matrix<T> B;
};

void simple_shift(const Queue& queue, std::span<const SimpleShift> group);
template <class T>
void simple_round(const Queue& queue, std::span<const SimpleRound<T>> group);
template <class T>
void simple_rows(const Queue& queue, std::span<const SimpleRows<T>> group);
template <class T>
void simple_gain(const Queue& queue, std::span<const SimpleGain<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
