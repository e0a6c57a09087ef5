// cuBLAS and cuSOLVER, for single large matrices, behind our own few names. Nothing links to them: they are loaded when
// first needed, from the libraries that other packages of the process use already, or from PyPI's. Row-major
// throughout. Everything is queued on the stream.
#pragma once

#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND::vendor_blas {

/// Whether the libraries are there.
bool available();

/// True if a matrix can be handed to multiply as it is, transposed or not.
template <class T>
bool is_blas(const Matrix<T>& A) {
    constexpr Index most = 0x7fffffff;  // of the libraries' integers
    return (A.column_stride == 1 && A.row_stride >= A.columns && A.row_stride <= most) ||
           (A.row_stride == 1 && A.column_stride >= A.rows && A.column_stride <= most);
}

/// C = A B with A (m, k), B (k, n), C (m, n), all `is_blas`, C with unit stride along its rows.
template <class T>
void multiply(const Queue& queue, const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C);

/// The lower triangle of A (n, n), leading dimension ld, becomes its Cholesky factor. *minor (on the device) becomes
/// the order of the leading minor that is not positive, or 0.
template <class T>
void cholesky(const Queue& queue, Index n, T* A, Index ld, int* minor);

/// The Cholesky factor in the lower triangle of A becomes the lower triangle of the inverse; *zero the index of a
/// diagonal element that is zero, from 1, or 0.
template <class T>
void invert_from_cholesky(const Queue& queue, Index n, T* A, Index ld, int* zero);

/// A (n, n), contiguous, symmetric, is replaced by its eigenvectors, row j that of values[j], ascending. *failed (on
/// the device) becomes 0, or not 0 if the iteration did not converge.
template <class T>
void symmetric_eigen(const Queue& queue, Index n, T* A, T* values, int* failed);

}  // namespace curvblas::CURVBLAS_BACKEND::vendor_blas
