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

/// `batch` contiguous matrices one after the other.
template <class T>
Stack<T> contiguous_stack(T* data, Index rows, Index columns, Index batch) {
    return {data, rows, columns, columns, 1, batch, rows * columns};
}

template <class T>
Stack<const T> read_only(const Stack<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride, A.batch, A.batch_stride};
}

template <class T>
Stack<T> transposed(const Stack<T>& A) {
    return {A.data, A.columns, A.rows, A.column_stride, A.row_stride, A.batch, A.batch_stride};
}

}  // namespace curvblas::CURVBLAS_BACKEND
