// Solving with a sum or difference of two Kronecker products (Martens and Grosse 2015, section 4.3 and appendix B).
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// B X A + sign D X C = Z for every problem: B (x) A + sign D (x) C times row-major vec(X). Shapes: A, C (batch, p, p),
/// symmetric; B, D (batch, q, q), symmetric; Z, X (batch, q, p). A, B and the sum must be positive definite. X may not
/// overlap an input.
///
/// With A = Q a Q^T, W_A = Q a^-1/2 and W_A^T C W_A = E_A s_A E_A^T, likewise of B and D:
///     X = W_B E_B [ (E_B^T W_B^T Z W_A E_A) / (1 + sign s_B s_A^T) ] E_A^T W_A^T,
/// denominators cut at 1e-6. Statuses and the residual: see KronSumReport.
///
/// Cost per problem: two eigenproblems of order p and two of order q, 4 (p^3 + q^3) + 12 p q (p + q) flops; scratch
/// 4 (p^2 + q^2) + 4 p q words.
template <class T>
struct KronSumSolve {
    Stack<const T> A, B, C, D, Z;
    Stack<T> X;
    Status* status;
    double* residual;
};

template <class T>
void kron_sum_solve(const Queue& queue, std::span<const KronSumSolve<T>> group, double sign);

}  // namespace curvblas::CURVBLAS_BACKEND
