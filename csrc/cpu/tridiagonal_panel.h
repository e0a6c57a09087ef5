// A few rows of a symmetric matrix made tridiagonal, the rest left behind by a product of them.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// A square of A on its diagonal, of so many rows, is kept whole; of the others, those right of the diagonal count.
constexpr Index diagonal_block = 16;

template <class T>
struct TridiagonalPanel {
    /// Rows [first, first + width) of A (n, n), both multiples of diagonal_block, or up to n, become those of the
    /// tridiagonal matrix: the rest of row j, and tau[j], hold the reflection I - tau v v^T, v_{j+1} = 1 (see
    /// BackTransform). Rows of V and W (width, ld) are the reflections' vectors and what is left to subtract from the
    /// rest of A: V^T W + W^T V. Rows of A have ld elements, a multiple of diagonal_block, zero from column n on.
    void (*reduce)(Index n, Index first, Index width, T* A, Index ld, T* V, T* W, T* tau, double* diagonal,
                   double* off_diagonal);
};

}  // namespace curvblas::cpu
