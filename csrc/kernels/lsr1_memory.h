// The small work of keeping pairs; see algorithms/lsr1_memory.h.
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "kernels/for_each_element.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// A = 0.
template <class T>
struct Lsr1Clear {
    Matrix<T> A;

    CURVBLAS_DEVICE Index count() const { return A.columns; }
    CURVBLAS_DEVICE void work(Index j) const {
        for (Index i = 0; i < A.rows; ++i) A(i, j) = 0;
    }
};

/// A vector (1, n) becomes row `slot` of A.
template <class T>
struct Lsr1Store {
    Matrix<const T> vector;
    Matrix<T> A;
    Index slot;

    CURVBLAS_DEVICE Index count() const { return A.columns; }
    CURVBLAS_DEVICE void work(Index j) const { A(slot, j) = vector(0, j); }
};

/// A status as a number, beside others.
struct Lsr1Judge {
    const Status* status;
    double* number;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const { *number = static_cast<double>(static_cast<int>(*status)); }
};

/// The products of pair `slot`, from its two rows of K (2 m, 2 m) to where Lsr1Problem reads them.
struct Lsr1Mirror {
    double* K;
    Index m, slot;

    CURVBLAS_DEVICE Index count() const { return m; }
    CURVBLAS_DEVICE void work(Index j) const {
        const Index width = 2 * m, s = slot, y = m + slot;
        K[j * width + s] = K[s * width + j];
        K[(m + j) * width + y] = K[y * width + m + j];
        if (j != slot) K[j * width + y] = K[y * width + j];
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
