// Views: how memory that somebody else owns is described. No ownership, no arithmetic, usable on host and device.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define CURVBLAS_DEVICE __host__ __device__  // a function that kernels may call too
#elif defined(CURVBLAS_ISA)
#define CURVBLAS_DEVICE \
    [[gnu::always_inline]]  // one name, compiled for several instruction sets: no copy may be shared
#else
#define CURVBLAS_DEVICE
#endif

namespace curvblas {

using Index = std::int64_t;

enum class DType : std::uint8_t { float64, float32, float16, bfloat16 };

CURVBLAS_DEVICE constexpr Index item_size(DType dtype) {
    return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2;
}

constexpr const char* name(DType dtype) {
    constexpr const char* names[] = {"float64", "float32", "float16", "bfloat16"};
    return names[static_cast<int>(dtype)];
}

/// The DType of a C++ type; only the types that factors, inverses and memories may have.
template <class T>
constexpr DType dtype_of = sizeof(T) == 8 ? DType::float64 : DType::float32;

/// A rows x columns matrix. Strides count elements, may be zero or negative.
template <class T>
struct Matrix {
    T* data;
    Index rows, columns;
    Index row_stride, column_stride;

    CURVBLAS_DEVICE T& operator()(Index i, Index j) const { return data[i * row_stride + j * column_stride]; }
    CURVBLAS_DEVICE T* row(Index i) const { return data + i * row_stride; }
};

/// `batch` matrices of one shape, `batch_stride` elements apart: 1,000 stacked 4x4 factors are one Stack.
template <class T>
struct Stack {
    T* data;
    Index rows, columns;
    Index row_stride, column_stride;
    Index batch, batch_stride;

    CURVBLAS_DEVICE Matrix<T> operator[](Index b) const {
        return {data + b * batch_stride, rows, columns, row_stride, column_stride};
    }
};

template <class T>
CURVBLAS_DEVICE Matrix<const T> read_only(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride};
}

template <class T>
CURVBLAS_DEVICE Stack<const T> read_only(const Stack<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride, A.batch, A.batch_stride};
}

template <class T>
CURVBLAS_DEVICE Matrix<T> transposed(const Matrix<T>& A) {
    return {A.data, A.columns, A.rows, A.column_stride, A.row_stride};
}

template <class T>
CURVBLAS_DEVICE Stack<T> transposed(const Stack<T>& A) {
    return {A.data, A.columns, A.rows, A.column_stride, A.row_stride, A.batch, A.batch_stride};
}

/// A stack of one.
template <class T>
CURVBLAS_DEVICE Stack<T> as_stack(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride, 1, 0};
}

/// `batch` contiguous matrices one after the other.
template <class T>
CURVBLAS_DEVICE Stack<T> contiguous_stack(T* data, Index rows, Index columns, Index batch) {
    return {data, rows, columns, columns, 1, batch, rows * columns};
}

/// `batch` sets of N x T rows of length d, of any row dtype. T counts the positions that share weights (1 if none).
/// `data == nullptr` means that the argument is absent.
struct Rows {
    const void* data;
    DType dtype;
    Index N, T, d;
    Index n_stride, t_stride, d_stride;
    Index batch_stride;

    CURVBLAS_DEVICE Index count() const { return N * T; }
    /// Whether row_stride() walks all rows of a set; if not, the T of one case.
    CURVBLAS_DEVICE bool has_one_stride() const { return T == 1 || n_stride == T * t_stride; }
    CURVBLAS_DEVICE Index row_stride() const { return T == 1 ? n_stride : t_stride; }
    /// Where row r of set b starts; r = n T + t.
    CURVBLAS_DEVICE const void* row(Index b, Index r) const {
        // No division per row where one stride walks them all.
        const Index in_set = has_one_stride() ? r * row_stride() : r / T * n_stride + r % T * t_stride;
        const Index offset = b * batch_stride + in_set;
        return static_cast<const std::byte*>(data) + offset * item_size(dtype);
    }
};

}  // namespace curvblas
