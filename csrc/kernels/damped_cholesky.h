// Cholesky factors of damped symmetric matrices, with the statuses and the jitter of damped_inverse.h.
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What is known about the factors, beside the factors: one entry a matrix.
struct CholeskyReports {
    Status* status;
    double* jitter;   ///< added on top of damping; 0 unless status is jittered, NaN where there is no factor
    double* log_det;  ///< log det(C + (damping + jitter) I), NaN where there is no factor
    Index* minor;     ///< order of the leading minor that is not positive (status 2) or holds NaN or Inf (3); else 0

    CholeskyReports from(Index matrix) const {
        return {status + matrix, jitter + matrix, log_det + matrix, minor + matrix};
    }
};

/// L L^T = C + (damping + jitter) I for every matrix of every task, L lower triangular with zeros above. Shapes: C and
/// L (batch, n, n); damping and reports: one a matrix. Only the lower triangle of C is read, and never written; L may
/// not overlap C.
///
/// The ladder of OnFailure::jitter: as is; in float64 (where T is narrower) if that fails, or if a pivot has lost its
/// digits: L_ii^2 < 1e3 eps (C_ii + damping), so that the rounding of T may change it by 1e-3; then in float64 with the
/// jitters of JitterLadder. With keep and raise there is no ladder. Statuses: ok, jittered, not_positive_definite (the
/// ladder failed), not_finite (C holds NaN or Inf), invalid_parameter (damping is negative or not finite), inaccurate
/// (L does not fit T). L of a failed matrix is NaN; with keep it is left as it was for every status above jittered.
///
/// There is no residual to report: ||L L^T - (C + (damping + jitter) I)|| <= n eps ||C + ..|| for every factor that
/// exists (Higham 2002, Theorem 10.3). It holds for denormal matrices and near overflow too, because the matrix is
/// scaled by a power of four first.
///
/// Cost per matrix: n^3 / 3 flops, 2 n^2 words; scratch n^2 words of T, n^2 doubles more on the ladder.
template <class T>
struct DampedCholesky {
    Stack<const T> C;
    const double* damping;
    Stack<T> L;
    CholeskyReports reports;
};

template <class T>
void damped_cholesky(const Queue& queue, std::span<const DampedCholesky<T>> group, OnFailure on_failure);

}  // namespace curvblas::CURVBLAS_BACKEND
