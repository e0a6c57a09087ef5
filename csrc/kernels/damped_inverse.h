// Damped inverses of symmetric positive (semi-)definite matrices by Cholesky (Martens and Grosse 2015, section 6.3).
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What is known about the inverses, beside the inverses: one entry a matrix.
struct InverseReports {
    Status* status;
    double* jitter;    ///< added on top of damping; 0 unless status is jittered, NaN where there is no inverse
    double* residual;  ///< estimate of ||(C + (damping + jitter) I) X - I||, NaN where there is no inverse
    double* log_det;   ///< log det(C + (damping + jitter) I), NaN where there is no inverse
    Index* minor;      ///< order of the leading minor that is not positive (status 2) or holds NaN or Inf (3); else 0

    InverseReports from(Index matrix) const {
        return {status + matrix, jitter + matrix, residual + matrix, log_det + matrix, minor + matrix};
    }
};

/// X = (C + damping I)^-1 for every matrix of every task. Shapes: C and X (batch, n, n); damping and reports: one a
/// matrix. Only the lower triangle of C is read, and never written; X is full, exactly symmetric, and may not overlap
/// C.
///
/// The ladder of OnFailure::jitter: as is; in float64 (where T is narrower); then in float64 with
/// jitter = max(4 n eps, 1e-8) 10^j max(mean |C_ii|, damping), j = 0, 1, ... up to 1e-2 of that maximum; eps is that of
/// T. An inverse in T whose residual is above 1e-3 is computed again in float64 as well. With keep and raise there is
/// no ladder. Statuses: ok, jittered, not_positive_definite (the ladder failed), not_finite (C holds NaN or Inf),
/// invalid_parameter (damping is negative or not finite), inaccurate (the residual, after rounding to T, is above
/// 1e-2). X of a failed matrix is NaN; with keep it is left as it was for every status above jittered.
///
/// The residual is the larger of ||R z|| and ||R w|| with R = (C + ..) X - I, z a fixed vector of signs (its mean
/// square is the Frobenius norm) and w = X z / ||X z||, one step of inverse iteration, which finds the direction in
/// which an ill-conditioned inverse is wrong; plus what the products themselves are rounded by, at most u ||C|| ||X||.
/// They are formed in float64, u = 1.1e-16; in T for what the CPU inverts in lanes (n <= 64), as long as the sum is
/// below 1e-3. Where it, or the bound eps / 2 ||C|| ||X|| on what the rounding of X to T adds, is above 2.5e-3, the
/// Frobenius norm is computed column by column (n <= 64) or sixteen more vectors of signs are tried.
///
/// Cost per matrix: n^3 + O(n^2) flops, 2 n^2 words; on the CPU a single matrix of n <= 64 costs as much as a vector
/// full of them. Scratch: on a device 2 n^2 words; on the CPU 2 n^2 words up to n = 256, beyond it about n^2 + 700 n,
/// and as many doubles more on the ladder.
template <class T>
struct DampedInverse {
    Stack<const T> C;
    const double* damping;
    Stack<T> X;
    InverseReports reports;
};

template <class T>
void damped_inverse(const Queue& queue, std::span<const DampedInverse<T>> group, OnFailure on_failure);

}  // namespace curvblas::CURVBLAS_BACKEND
