// Numbers of any layout in a device's memory, as contiguous float64: how parameters come to kernels.
#pragma once

#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Up to 8 axes; strides count elements.
struct Layout {
    int ndim;
    Index shape[8], strides[8];
};

/// to[b] = the b-th element of `from` in C order, or its only one for all b where it has no axes. float64 or float32.
void gather(const Queue& queue, const void* from, DType dtype, const Layout& layout, Index count, double* to);

}  // namespace curvblas::CURVBLAS_BACKEND
