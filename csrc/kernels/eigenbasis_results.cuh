// What surrounds the eigenproblem of one matrix on a device: its scale, the signs of its vectors, its residual and
// status (eigenbasis.h), by one block of threads.
#pragma once

#include "core/probe.h"
#include "cuda/block.cuh"
#include "kernels/eigenbasis.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr int eigen_threads = 256;  // at most

/// A power of two as two factors, because the one that brings a denormal matrix to 1 is no double.
struct Scale {
    double first, second;

    __device__ static Scale to_one(double largest) {
        const int exponent = largest > 0 ? -ilogb(largest) : 0;
        return {ldexp(1.0, exponent / 2), ldexp(1.0, exponent - exponent / 2)};
    }
    __device__ double operator()(double x) const { return x * first * second; }
    __device__ Scale inverse() const { return {1 / first, 1 / second}; }
};

/// NaN if one of them is.
__device__ inline double larger(double a, double b) { return a > b || isnan(a) ? a : b; }

/// f(i, j) for the elements of a rows x columns matrix: neighbouring threads take neighbours of a row.
template <class F>
__device__ void for_each_element(int rows, int columns, const F& f) {
    for (int at = static_cast<int>(threadIdx.x); at < rows * columns; at += static_cast<int>(blockDim.x))
        f(at / columns, at % columns);
}

/// The largest magnitude of the lower triangle; NaN or Inf if it holds one.
template <class T>
__device__ double largest_magnitude(const Matrix<const T>& C, double* reduction) {
    double largest = 0;
    for (Index i = threadIdx.x; i < C.rows; i += blockDim.x)
        for (Index j = 0; j <= i; ++j) largest = larger(fabs(static_cast<double>(C(i, j))), largest);
    return block_reduce(largest, [](double a, double b) { return larger(a, b); }, reduction);
}

/// Element (i, j) of the scaled matrix, from its lower triangle.
template <class T>
__device__ double scaled(const Matrix<const T>& C, const Scale& scale, Index i, Index j) {
    return scale(static_cast<double>(i < j ? C(j, i) : C(i, j)));
}

/// -1 if the first entry of largest magnitude of a vector is negative, else 1. By one warp.
template <class T>
__device__ T sign_to_canonical(const T* v, int n) {
    T size = -1, entry = 0;
    int first = 0;
    for (int i = static_cast<int>(threadIdx.x) % warp_size; i < n; i += warp_size)
        if (fabs(v[i]) > size) size = fabs(v[i]), entry = v[i], first = i;
    for (int step = warp_size / 2; step > 0; step /= 2) {
        const T other_size = __shfl_xor_sync(whole_warp, size, step), other = __shfl_xor_sync(whole_warp, entry, step);
        const int other_first = __shfl_xor_sync(whole_warp, first, step);
        if (other_size > size || (other_size == size && other_first < first))
            size = other_size, entry = other, first = other_first;
    }
    return entry < 0 ? T(-1) : T(1);
}

/// Eigenpair j of the scaled matrix, in row j of Vt, goes to its place among the results, or NaN everywhere.
template <class T>
__device__ void write_results(const Eigenbasis<T>& task, int b, const Scale& scale, const T* w, Index w_stride,
                              const T* Vt, Index ld, bool usable) {
    const int n = static_cast<int>(task.C.rows), lane = static_cast<int>(threadIdx.x) % warp_size;
    const Matrix<T> V = task.vectors[b];
    const Scale back = scale.inverse();
    for (int j = static_cast<int>(threadIdx.x) / warp_size; j < n; j += static_cast<int>(blockDim.x) / warp_size) {
        const T value = w[j * w_stride];
        int rank = 0;
        for (int k = lane; k < n; k += warp_size) {
            const T other = w[k * w_stride];
            rank += other < value || (other == value && k < j) ? 1 : 0;
        }
        rank = usable ? warp_sum(rank) : j;
        const T factor = sign_to_canonical(Vt + j * ld, n);
        if (lane == 0)
            task.values[b * Index{n} + rank] =
                usable ? static_cast<T>(back(static_cast<double>(value)) + 0.0) : static_cast<T>(NAN);
        for (int i = lane; i < n; i += warp_size)
            V(i, rank) = usable ? Vt[j * ld + i] * factor + T(0) : static_cast<T>(NAN);  // no negative zeros
    }
    __syncthreads();
}

/// The report of the results as they lie in the task, and NaN in place of those that are no good. `vectors` holds 2 n
/// doubles. Called by the whole block; results of other statuses than ok are NaN already.
template <class T>
__device__ void assess(const Eigenbasis<T>& task, int b, const Scale& scale, Status status, double* vectors,
                       double* reduction) {
    const int n = static_cast<int>(task.C.rows);
    const Matrix<const T> C = task.C[b];
    const Matrix<T> V = task.vectors[b];
    T* const values = task.values + b * Index{n};
    const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    double residual = NAN, *const y = vectors, *const r = vectors + n;
    if (status == Status::ok) {
        for (int i = first; i < n; i += step) {  // y = V z, r = -V diag(values) z
            double sum = 0, weighted = 0;
            for (int j = 0; j < n; ++j) {
                const double v = probe_sign(0, j) * static_cast<double>(V(i, j));
                sum += v, weighted = fma(-v, scale(static_cast<double>(values[j])), weighted);
            }
            y[i] = sum, r[i] = weighted;
        }
        __syncthreads();
        double squares = 0, error = 0, departure = 0;
        for (int i = first; i < n; i += step) {
            double sum = r[i], dot = -probe_sign(0, i);
            for (int j = 0; j < n; ++j) {
                const double c = scaled(C, scale, i, j);
                sum = fma(c, y[j], sum), squares = fma(c, c, squares);
                dot = fma(static_cast<double>(V(j, i)), y[j], dot);
            }
            error = fma(sum, sum, error), departure = fma(dot, dot, departure);
        }
        squares = block_sum(squares, reduction), error = block_sum(error, reduction);
        departure = block_sum(departure, reduction);
        residual = sqrt(squares > 0 ? error / squares : error);
        // Written as not(<=) so that NaN is inaccurate too.
        if (!(residual <= residual_bound && departure <= n * residual_bound * residual_bound)) {
            status = Status::inaccurate;
            for_each_element(n, n, [&](int i, int j) { V(i, j) = static_cast<T>(NAN); });
            for (int j = first; j < n; j += step) values[j] = static_cast<T>(NAN);
        }
    }
    if (threadIdx.x > 0) return;
    task.reports.status[b] = status, task.reports.residual[b] = residual;
}

}  // namespace curvblas::CURVBLAS_BACKEND
