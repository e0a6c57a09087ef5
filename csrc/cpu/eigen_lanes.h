// Eigenbases of small matrices of one order, side by side: a lane of the vectors for each matrix.
#pragma once

#include "core/status.h"
#include "core/view.h"

namespace curvblas::cpu {

/// What is decomposed, and where its results go: as in kernels/eigenbasis.h. values (n) is contiguous.
template <class T>
struct EigenLane {
    Matrix<const T> C;
    T* values;
    Matrix<T> V;
    Status* status;
    double* residual;
};

/// Everything that the contract of eigenbasis.h says, for up to `width` matrices of order n in [1, most_order]. What
/// becomes of a lane depends neither on its neighbours nor on their number. `work` holds bytes(n), aligned to 64.
template <class T>
struct EigenLanes {
    static constexpr Index most_order = 32;
    Index width;
    Index (*bytes)(Index n);
    void (*solve)(Index n, Index count, const EigenLane<T>* lanes, void* work);
};

}  // namespace curvblas::cpu
