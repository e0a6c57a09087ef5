// Reading arrays of any dtype.
#pragma once

#include "core/view.h"
#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Element j of a row of any dtype, converted.
template <class T>
__device__ T element(DType dtype, const void* row, Index j) {
    switch (dtype) {
        case DType::float64:
            return static_cast<T>(static_cast<const double*>(row)[j]);
        case DType::float32:
            return static_cast<T>(static_cast<const float*>(row)[j]);
        case DType::float16:
            return static_cast<T>(widen_float16(static_cast<const std::uint16_t*>(row)[j]));
        case DType::bfloat16:
            return static_cast<T>(widen_bfloat16(static_cast<const std::uint16_t*>(row)[j]));
    }
    return T(0);
}

}  // namespace curvblas::CURVBLAS_BACKEND
