// Eigenproblems of small tridiagonal matrices, side by side: a lane of the vectors for each matrix.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// A symmetric tridiagonal matrix of order n; row j of `vectors` becomes the eigenvector of values[j], in no order.
template <class T>
struct TridiagonalLane {
    Index n;
    const double *diagonal, *off_diagonal;
    double* values;
    T* vectors;
    Index ld;
};

/// Up to `width` matrices, of orders n or n - 1, n in [1, most_order]. False if some did not converge. `work` holds
/// bytes(n), aligned to 64.
template <class T>
struct TridiagonalLanes {
    static constexpr Index most_order = 16;
    Index width;
    Index (*bytes)(Index n);
    bool (*solve)(Index n, Index count, const TridiagonalLane<T>* lanes, void* work);
};

}  // namespace curvblas::cpu
