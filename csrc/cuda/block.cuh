// What the threads of a block do together. All threads call these, with the same arguments where nothing else is said.
#pragma once

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr int most_warps = 32;

/// The sum over a warp, with the same bits in every lane.
template <class T>
__device__ T warp_sum(T value) {
    for (int step = warp_size / 2; step > 0; step /= 2) value += __shfl_xor_sync(whole_warp, value, step);
    return value;
}

/// op(op(.., ..), ..) over the values of all threads in a fixed order; every thread gets it. `shared` holds one T a
/// warp. A barrier before and one after: shared memory written before may be read after.
template <class T, class Op>
__device__ T block_reduce(T value, const Op& op, T* shared) {
    for (int step = warp_size / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(whole_warp, value, step));
    if (threadIdx.x % warp_size == 0) shared[threadIdx.x / warp_size] = value;
    __syncthreads();
    value = shared[0];
    for (unsigned warp = 1; warp < blockDim.x / warp_size; ++warp) value = op(value, shared[warp]);
    __syncthreads();  // before `shared` is used again
    return value;
}

template <class T>
__device__ T block_sum(T value, T* shared) {
    return block_reduce(value, [](T a, T b) { return a + b; }, shared);
}

/// A few neighbours in memory, aligned to 16 bytes: loaded and stored in one go.
template <class T>
struct alignas(16) Vector {
    static constexpr int size = 16 / static_cast<int>(sizeof(T));
    T element[size];
};

}  // namespace curvblas::CURVBLAS_BACKEND
