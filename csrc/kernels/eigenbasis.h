// Eigenvalues and eigenvectors of symmetric matrices: the bases of E-KFAC, of matrix roots and of exact damping.
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What is known about the eigenbases, beside the bases: one entry a matrix.
struct EigenReports {
    Status* status;
    double*
        residual;  ///< estimate of ||C V - V diag(values)||_F / ||C||_F; 0 for C = 0, NaN where nothing was computed

    EigenReports from(Index matrix) const { return {status + matrix, residual + matrix}; }
};

/// C = V diag(values) V^T for every matrix of every task. Shapes: C, warm_start and V (batch, n, n); values
/// (batch, n), contiguous; reports: one a matrix. Only the lower triangle of C is read, and never written; the results
/// may not overlap it, nor each other.
///
/// Values ascend. Columns of V are eigenvectors, orthonormal to machine precision; the first entry of largest magnitude
/// of each is positive. C is scaled by a power of two first, so that 2^k C has the same vectors, and values 2^k as
/// large, at all scales.
///
/// `warm_start` (data null: absent) holds the eigenvectors of a matrix near C. It may only save time: the result is
/// held to the same accuracy, and what is not finite or no orthonormal basis is not used. Jacobi rotations (CUDA, n <
/// 128) begin from it: 2 to 4 sweeps instead of 4 to 6. Tridiagonalisation has no use for it.
///
/// Statuses: ok; not_finite (C holds NaN or Inf); no_convergence; inaccurate (the residual is above 1e-2, or V is not
/// orthonormal, or a value does not fit T). V and values of every matrix that is not ok are NaN. The residual is that
/// of the results as they are handed out, times a fixed vector of signs, whose mean square is the Frobenius norm.
///
/// Cost per matrix: at most 6 n^3 flops by tridiagonalisation (4/3 n^3), its eigenvectors (4/3 to 8/3) and their
/// rotation back (2); 6 n^3 a sweep of Jacobi rotations. Scratch on the CPU for large n: 5 to 6 n^2 words.
template <class T>
struct Eigenbasis {
    Stack<const T> C, warm_start;
    T* values;
    Stack<T> vectors;
    EigenReports reports;
};

template <class T>
void eigenbasis(const Queue& queue, std::span<const Eigenbasis<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
