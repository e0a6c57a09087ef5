// The small part of a system with a low-rank matrix plus damping.
#pragma once

#include <cmath>
#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// (U^T diag(d) U + damping I)^-1 g = Q U + w g for orthonormal rows of U: Q_ij = -d_j P_ij / (damping (d_j + damping))
/// and w_i = 1 / damping, where P = G U^T. Shapes: d (batch, 1, k), P and Q (batch, s, k), w (batch, 1, s), damping one
/// a matrix; a damping that is not positive or not finite gives NaN. Cost per matrix: a few flops an element of P.
template <class T>
struct LowRankWeights {
    Stack<const T> d;
    const double* damping;
    Stack<const double> P;
    Stack<double> Q, w;
};

template <class T>
void low_rank_weights(const Queue& queue, std::span<const LowRankWeights<T>> group);

/// The weights of row i of matrix b.
template <class T>
CURVBLAS_DEVICE void set_weights(const LowRankWeights<T>& task, Index b, Index i) {
    double damping = task.damping[b];
    if (!(damping > 0 && damping * 0 == 0)) damping = NAN;
    for (Index j = 0; j < task.P.columns; ++j) {
        const double d = static_cast<double>(task.d[b](0, j));
        task.Q[b](i, j) = -(d / (d + damping)) * (task.P[b](i, j) / damping);
    }
    task.w[b](0, i) = 1 / damping;
}

}  // namespace curvblas::CURVBLAS_BACKEND
