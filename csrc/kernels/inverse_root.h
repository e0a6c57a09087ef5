// Inverse p-th roots of damped symmetric positive definite matrices: Shampoo's preconditioners (Gupta et al. 2018).
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

enum class RootMethod : std::uint8_t {
    eigh,    ///< V diag((w + damping)^(-1/p)) V^T from the eigenbasis
    newton,  ///< coupled Newton iterations: products only (Guo and Higham 2006; Anil et al. 2020, section 3.2)
};

/// The largest p: the certificate multiplies by X p times.
constexpr Index most_root = 1024;

/// What is known about the roots, beside the roots: one entry a matrix.
struct RootReports {
    Status* status;
    double* residual;  ///< estimate of ||X^p (C + damping I) - I||, NaN where there is no root

    RootReports from(Index matrix) const { return {status + matrix, residual + matrix}; }
};

/// X = (C + damping I)^(-1/p) for every matrix of every task. Shapes: C and X (batch, n, n); damping and reports: one a
/// matrix. Only the lower triangle of C is read, and never written; X is full, exactly symmetric, and may not overlap
/// C.
///
/// The residual is the larger of ||R z|| and ||R u||, R = (C + damping I) X^p - I in float64, z a fixed vector of signs
/// (its mean square is the Frobenius norm) and u = X^p z / ||X^p z||, which finds the direction in which the root of an
/// ill-conditioned matrix is wrong; plus what the products are rounded by, at most 1.1e-16 p ||C + damping I|| ||X||^p.
/// Where that, or the bound p eps / 2 ||C + damping I|| ||X||^p on what the rounding of X to T adds, is above 2.5e-3,
/// the Frobenius norm is computed column by column (n <= 64) or sixteen more vectors of signs are tried. It knows
/// nothing of how X was computed.
///
/// A float32 root whose residual is above 1e-3, or that could not be computed, is computed again in float64, in which
/// every eigenvalue of a float32 matrix above 1e-16 n of the largest is known.
///
/// Statuses: ok; not_positive_definite: an eigenvalue of C + damping I is not above n 2.2e-16 max |w_i|, w_i those of C
/// (what is smaller, of either sign, is rounding and not known to be positive; newton: there is no Cholesky factor, or
/// the iteration does not converge where there is none); not_finite (C holds NaN or Inf); no_convergence;
/// invalid_parameter (damping is negative or not finite); inaccurate (the residual is above 1e-2, or X does not fit T).
/// X of a failed matrix is NaN, but an inaccurate one that is finite is handed out.
///
/// newton: with z = (p + 1) / (2 ||A||_F), X = z^(1/p) I, M = z A, it repeats N = (1 + 1/p) I - M / p, X <- X N,
/// M <- N^p M until max |M - I| is at rounding level or falls no longer (at most 100 times).
///
/// Cost per matrix: eigh 6 n^3 + n^3 flops; newton about (2 log2 p + 4) n^3 flops an iteration, 8 to 40 iterations; the
/// certificate 4 (p + 1) n^2. Scratch 3 n^2 (newton: 7 n^2) words a thread, 2 n^2 doubles for each root that is
/// computed again.
template <class T>
struct InverseRoot {
    Stack<const T> C;
    const double* damping;
    Stack<T> X;
    RootReports reports;
};

template <class T>
void inverse_root(const Queue& queue, std::span<const InverseRoot<T>> group, Index p, RootMethod method);

}  // namespace curvblas::CURVBLAS_BACKEND
