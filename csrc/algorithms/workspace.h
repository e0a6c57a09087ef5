// Memory of an algorithm for the length of a call.
#pragma once

#include <utility>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What the square of a length may be for its vector to fit T.
template <class T>
constexpr double most_square = sizeof(T) == 4 ? 1e76 : 1e300;

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

}  // namespace curvblas::CURVBLAS_BACKEND
