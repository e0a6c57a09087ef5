// Products of many matrices of any sizes: what algorithms are made of.
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// C = A B for every matrix of every task: (m, k) (k, n) -> (m, n), any strides. No C overlaps an operand of the call.
/// Cost per matrix: 2 m n k flops. On a device one launch for all of them, and the vendor's library for large ones.
template <class T>
struct Product {
    Stack<const T> A, B;
    Stack<T> C;
};

template <class T>
void multiply(const Queue& queue, std::span<const Product<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
