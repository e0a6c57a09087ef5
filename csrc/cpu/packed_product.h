// Products of two large matrices on one thread, by the tiles of second moments.
#pragma once

#include "cpu/tiles.h"

namespace curvblas::cpu {

/// C = A B for A (m, k > 0), B (k, n) of any strides and C (m, n) with unit stride along its rows, which may not
/// overlap A or B. Both are packed, in rows of k, as they are needed.
template <class T>
void multiply_packed(const Tile<T>& tile, const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C);

}  // namespace curvblas::cpu
