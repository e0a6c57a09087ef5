// Memory of an algorithm for the length of a call, and single matrices as the stacks that kernels take.
#pragma once

#include <utility>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// One allocation, given out piece by piece.
template <class T>
class Workspace {
  public:
    Workspace(const Queue& queue, Index words) : memory_(queue.template scratch<T>(words)), next_(memory_.get()) {}
    T* take(Index words) { return std::exchange(next_, next_ + words); }
    Matrix<T> take(Index rows, Index columns) { return {take(rows * columns), rows, columns, columns, 1}; }

  private:
    decltype(std::declval<Queue>().template scratch<T>(0)) memory_;
    T* next_;
};

template <class T>
Stack<T> one(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride, 1, 0};
}

template <class T>
Matrix<const T> read_only(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride};
}

}  // namespace curvblas::CURVBLAS_BACKEND
