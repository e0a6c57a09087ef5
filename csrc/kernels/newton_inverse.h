// Damped inverses from earlier ones, by Newton-Schulz steps (Schulz 1933): matrix products only.
#pragma once

#include <span>

#include "core/view.h"
#include "kernels/damped_inverse.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// X = (C + damping I)^-1 for those matrices of every task that steps from X_0 lead to, and no_convergence for the
/// others: they are left undone, X as it was, the rest of their reports unwritten. Shapes: C, X_0 and X (batch, n, n);
/// damping and reports: one a matrix. Of C and X_0 only the lower triangle is read, and never written; X is full,
/// exactly symmetric, may not overlap C, and may be X_0 itself: all of X_0 is read before X is written.
///
/// With A = C + damping I it repeats R = I - A X, X <- X + X R; R becomes R^2. A and R are of float64 whatever T is,
/// and X is rounded to T in every step, of which the lower triangle is computed and mirrored. Norms are computed, not
/// estimated; newton_contraction.h says what they must be. The residual that is reported is ||R||_F of X as it is
/// handed out, plus u ||A|| ||X_0|| for the rounding of the products, u = 1.1e-16.
///
/// What is reported as ok has a residual of at most 45 sqrt(n) eps cond(A), and below 1e-2; eps is that of T. In
/// float64 the products themselves are rounded by eps: their error is not symmetric, and making X symmetric multiplies
/// it by the condition, so that matrices beyond a condition of some hundreds are left. jitter is 0, log_det NaN, minor
/// 0.
///
/// Left are also: NaN, Inf, a damping that is negative or not finite, n = 0, numbers whose squares overflow or vanish
/// in float64, and A or X_0 with a diagonal element that is not positive. That last look is all that is done about the
/// definiteness of A. Where X_0 is positive definite, the eigenvalues of I - X_0^1/2 A X_0^1/2 are looked at, at most
/// 1/2 are accepted, and A and all X are positive definite too. Inverses of status ok or jittered are.
///
/// Cost per matrix: 2 n^3 flops a norm, n^3 a step; 5 n^3 with one step, 8 n^3 with two. Scratch 4 n^2 doubles: of one
/// matrix a thread on the CPU, of the whole group on a device. Does not wait.
template <class T>
struct NewtonInverse {
    Stack<const T> C;
    const double* damping;
    Stack<const T> X_0;
    Stack<T> X;
    InverseReports reports;
};

template <class T>
void newton_inverse(const Queue& queue, std::span<const NewtonInverse<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
