// The BLAS that we link (scipy-openblas32), behind our own few names. Row-major throughout.
#pragma once

#include "core/view.h"

namespace curvblas::cpu::blas {

/// Keeps the BLAS on the calling thread: our pool is the only one. Called at the start of every group that uses it,
/// because a program may have set another number since (threadpoolctl reaches all copies of OpenBLAS).
void stay_on_one_thread();

/// The library's own description of its version, options and kernels.
const char* description();

/// C = A B with A (m, k), B (k, n), C (m, n). A and B need a unit stride along one axis, C along its rows (see
/// `is_blas`).
template <class T>
void multiply(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C);

/// C <- C + A B, the same.
template <class T>
void add_product(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C);

/// True if a matrix can be handed to multiply as it is, transposed or not.
template <class T>
bool is_blas(const Matrix<T>& A) {
    constexpr Index most = 0x7fffffff;  // of the BLAS's integers
    return (A.column_stride == 1 && A.row_stride >= A.columns && A.row_stride <= most) ||
           (A.row_stride == 1 && A.column_stride >= A.rows && A.column_stride <= most);
}

/// The matrix itself if the BLAS takes it, else a contiguous copy in scratch.
template <class T, class Scratch>
Matrix<const T> readable(const Matrix<const T>& A, Scratch& scratch) {
    if (is_blas(A)) return A;
    T* const copy = scratch.template take<T>(A.rows * A.columns);
    for (Index i = 0; i < A.rows; ++i)
        for (Index j = 0; j < A.columns; ++j) copy[i * A.columns + j] = A(i, j);
    return {copy, A.rows, A.columns, A.columns, 1};
}

/// A = L L^T for the lower triangle of A (n, n), leading dimension n, in place. Returns the order of the leading minor
/// that is not positive, or 0.
template <class T>
Index cholesky_lower(Index n, T* A);

/// X <- L^-1 X, or L^-T X, with the lower triangle of L (n, n) that `is_blas`, X (n, k) with unit stride along its
/// rows.
template <class T>
void solve_lower(const Matrix<const T>& L, bool transpose, const Matrix<T>& X);

}  // namespace curvblas::cpu::blas
