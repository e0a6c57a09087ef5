// Systems with a low-rank matrix plus damping (Woodbury).
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// X = G (U^T diag(values) U + damping I)^-1 for every matrix of every task, as G / damping - (U^T diag(values /
/// (damping (values + damping))) U g) for each row g of G, which needs rows of U that are orthonormal and cancels
/// nothing where values are small. Shapes: U (batch, k, n), values (batch, 1, k), G and X (batch, s, n), damping one a
/// matrix. X may not overlap an input.
///
/// Products are formed as those of gram, sums over the basis in float64. A damping that is not positive or not finite
/// makes its matrix NaN; there is no status. Cost per matrix: 4 k s n flops; (2 k + 3 s) n words. Same bits for any
/// number of threads.
template <class T>
struct LowRankSolve {
    Stack<const T> U, values;
    const double* damping;
    Stack<const T> G;
    Stack<T> X;
};

template <class T>
void low_rank_solve(const Queue& queue, std::span<const LowRankSolve<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
