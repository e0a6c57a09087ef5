// What CUDA reports becomes an exception.
#pragma once

#include <cuda_runtime.h>

#include <new>
#include <stdexcept>

#include "core/require.h"

namespace curvblas::CURVBLAS_BACKEND {

inline void check(cudaError_t error) {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // so that it is not reported again
    if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
    throw std::runtime_error(sentence("CUDA: ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ")"));
}

}  // namespace curvblas::CURVBLAS_BACKEND
