// What the solvers of symmetric matrices do with the lower triangle of one by one block of threads. Every function is
// called by all of them.
#pragma once

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {

/// Calls f(i, j) for the elements of an n x n matrix; neighbouring threads take neighbours of a row.
template <class F>
__device__ void for_each_element(int n, const F& f) {
    const int warps = static_cast<int>(blockDim.x) / warp_size;
    for (int i = static_cast<int>(threadIdx.x) / warp_size; i < n; i += warps)
        for (int j = static_cast<int>(threadIdx.x) % warp_size; j < n; j += warp_size) f(i, j);
}

/// The first row, from 1, of the lower triangle that holds NaN or Inf, or 0. `shared` holds most_warps ints.
template <class T>
__device__ int first_row_not_finite(const Matrix<const T>& C, int* shared) {
    const int n = static_cast<int>(C.rows);
    int first = n;
    for_each_element(n, [&](int i, int j) {
        if (j <= i && !isfinite(C(i, j)) && i < first) first = i;
    });
    first = block_reduce(first, [](int a, int b) { return a < b ? a : b; }, shared);
    return first < n ? first + 1 : 0;
}

/// op over |C_ii|, beginning with `start`. `shared` holds most_warps doubles.
template <class T, class Op>
__device__ double reduce_diagonal(const Matrix<const T>& C, double start, const Op& op, double* shared) {
    double value = start;
    for (Index i = threadIdx.x; i < C.rows; i += blockDim.x) value = op(value, fabs(static_cast<double>(C(i, i))));
    return block_reduce(value, op, shared);
}

}  // namespace curvblas::CURVBLAS_BACKEND
