// Linear systems with a lower triangular matrix, or with the product of one and its transpose.
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

enum class TriangularSystem : std::uint8_t {
    lower,       ///< L X = B
    transposed,  ///< L^T X = B
    cholesky,    ///< L L^T X = B
};

/// X solves the system for every matrix of every task. Shapes: L (batch, n, n), B and X (batch, n, k). Only the lower
/// triangle of L is read; its diagonal is not taken to be 1, and a zero on it gives Inf or NaN. X may not overlap an
/// input. There is no status: NaN stays in its matrix.
/// Cost per matrix: n^2 k flops, twice for cholesky; n^2 / 2 + 2 n k words. Same bits for any number of threads.
template <class T>
struct TriangularSolve {
    Stack<const T> L, B;
    Stack<T> X;
};

template <class T>
void triangular_solve(const Queue& queue, std::span<const TriangularSolve<T>> group, TriangularSystem system);

}  // namespace curvblas::CURVBLAS_BACKEND
