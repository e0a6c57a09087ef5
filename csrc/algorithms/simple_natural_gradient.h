// Kaldi's "simple" preconditioner (Povey, Zhang and Khudanpur 2015, section 4.1): each row of a minibatch times the
// inverse of the second moment of the other rows.
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Row n of X_hat is gain x_n (lambda I + (X^T X - x_n^T x_n) / (N - 1))^-1 for every matrix X (N, D) of every task,
/// with lambda = alpha tr(X X^T) / (N D) and the gain that gives X_hat the Frobenius norm of X. Shapes: X and X_hat
/// (batch, N, D); X_hat may not overlap X.
///
/// One inverse of order min(N, D), in float64, serves all rows: case n leaves by the formula of Sherman and Morrison.
/// alpha bounds the condition of what is inverted, so that there is no status: NaN, Inf, squares that T does not
/// hold, and an alpha so small that float64 has no inverse make their X_hat NaN. Zeros and single rows stay as they
/// are. Cost per matrix: 3 N D min(N, D) + min(N, D)^3 flops. Same bits for any number of threads.
template <class T>
struct SimpleNaturalGradient {
    Stack<const T> X;
    Stack<T> X_hat;
};

template <class T>
void simple_natural_gradient(const Queue& queue, std::span<const SimpleNaturalGradient<T>> group, double alpha);

}  // namespace curvblas::CURVBLAS_BACKEND
