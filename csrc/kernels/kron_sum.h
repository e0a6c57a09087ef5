// The parts of kron_sum_solve that are neither products nor eigenproblems.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// W = Q diag(values)^-1/2 for every matrix: W^T (Q diag(values) Q^T) W = I. NaN unless all values are positive.
/// Shapes: Q, W (batch, n, n); values (batch, n), contiguous. Cost n^2 flops.
template <class T>
struct Whitening {
    Stack<const T> Q;
    const T* values;
    Stack<T> W;
};

template <class T>
void whiten(const Queue& queue, std::span<const Whitening<T>> group);

/// S + least = max(1 + sign s_B s_A^T, least), the denominators in the common eigenbasis, and the number `least`, one a
/// matrix: what precondition_eigen takes. Shapes: S (batch, q, p); values (batch, p) and (batch, q), contiguous.
template <class T>
struct KronSumDenominators {
    const T *A_values, *B_values;
    Stack<T> S;
    double* least;
};

template <class T>
void find_denominators(const Queue& queue, std::span<const KronSumDenominators<T>> group, double sign);

/// residual = ||B X A + sign D X C - Z||_F / ||Z||_F (not divided where Z = 0) from the two products, in float64, and
/// the status: what kept A, B, C or D from being decomposed, in this order; not_positive_definite where A or B has a
/// value that is not positive; not_finite where Z holds NaN or Inf; inaccurate above the bound; ok. X is NaN where
/// nothing was computed: with every status but the last two. Values ascend, (batch, p) and (batch, q), contiguous.
template <class T>
struct KronSumReport {
    const T *A_values, *B_values;
    const Status* decomposed[4];
    Stack<const T> Z, BXA, DXC;
    Stack<T> X;
    Status* status;
    double* residual;
};

template <class T>
void judge(const Queue& queue, std::span<const KronSumReport<T>> group, double sign);

/// The arithmetic of one element or matrix.
template <class T>
CURVBLAS_DEVICE T inverse_root(T value) {
    // Written as > so that NaN fails too.
    return value > 0 ? static_cast<T>(1 / sqrt(static_cast<double>(value))) : static_cast<T>(NAN);
}

constexpr double least_denominator = 1e-6;  // rounding may leave 0 or less of a positive definite difference

template <class T>
CURVBLAS_DEVICE T denominator_above_least(double sign, T s_A, T s_B) {
    const double above = 1 + sign * static_cast<double>(s_A) * static_cast<double>(s_B) - least_denominator;
    return static_cast<T>(above < 0 ? 0.0 : above);  // NaN stays
}

/// What the statuses and values say before any residual is known.
template <class T>
CURVBLAS_DEVICE Status status_of_parts(const KronSumReport<T>& report, Index b) {
    const Index p = report.Z.columns, q = report.Z.rows;
    const bool positive = (p == 0 || report.A_values[b * p] > 0) && (q == 0 || report.B_values[b * q] > 0);
    for (int k = 0; k < 4; ++k) {
        if (k == 2 && !positive) return Status::not_positive_definite;
        if (report.decomposed[k][b] != Status::ok) return report.decomposed[k][b];
    }
    return Status::ok;
}

/// From sums of squares of elements divided by `largest`, that of Z.
CURVBLAS_DEVICE inline double relative_residual(double squares, double Z_squares, double largest) {
    return Z_squares > 0 ? sqrt(squares / Z_squares) : sqrt(squares) * largest;
}

}  // namespace curvblas::CURVBLAS_BACKEND
