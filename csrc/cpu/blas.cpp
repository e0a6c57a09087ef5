#include "cpu/blas.h"

#include <cblas.h>

#include <type_traits>

extern "C" {
void scipy_spotrf_(const char* uplo, const int* n, float* a, const int* lda, int* info);
void scipy_dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
}

namespace curvblas::cpu::blas {
namespace {

// LAPACK is column-major: the upper triangle of a row-major matrix is its lower one.
constexpr const char* triangle = "L";

struct Operand {
    CBLAS_TRANSPOSE transpose;
    int leading_dimension;
};

template <class T>
Operand operand(const Matrix<T>& A) {
    if (A.column_stride == 1 && A.row_stride >= A.columns) return {CblasNoTrans, static_cast<int>(A.row_stride)};
    return {CblasTrans, static_cast<int>(A.column_stride)};
}

/// C = A B + f C
template <class T>
void gemm(const Matrix<const T>& A, const Matrix<const T>& B, T f, const Matrix<T>& C) {
    const Operand a = operand(A), b = operand(B);
    const int m = static_cast<int>(C.rows), n = static_cast<int>(C.columns), k = static_cast<int>(A.columns);
    const int ldc = static_cast<int>(C.row_stride);
    if constexpr (std::is_same_v<T, float>)
        scipy_cblas_sgemm(CblasRowMajor, a.transpose, b.transpose, m, n, k, 1, A.data, a.leading_dimension, B.data,
                          b.leading_dimension, f, C.data, ldc);
    else
        scipy_cblas_dgemm(CblasRowMajor, a.transpose, b.transpose, m, n, k, 1, A.data, a.leading_dimension, B.data,
                          b.leading_dimension, f, C.data, ldc);
}

}  // namespace

void stay_on_one_thread() {
    if (scipy_openblas_get_num_threads() != 1) scipy_openblas_set_num_threads(1);
}

const char* description() { return scipy_openblas_get_config(); }

template <class T>
void multiply(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    gemm(A, B, T(0), C);
}

template <class T>
void add_product(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    gemm(A, B, T(1), C);
}

template <class T>
Index cholesky(Index n, T* A) {
    const int order = static_cast<int>(n);
    int info = 0;
    if constexpr (std::is_same_v<T, float>)
        scipy_spotrf_(triangle, &order, A, &order, &info);
    else
        scipy_dpotrf_(triangle, &order, A, &order, &info);
    return info;
}

template <class T>
void multiply_triangle_left(Index m, Index n, T f, const T* U, T* B, Index ld) {
    const int rows = static_cast<int>(m), columns = static_cast<int>(n), l = static_cast<int>(ld);
    if constexpr (std::is_same_v<T, float>)
        scipy_cblas_strmm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, rows, columns, f, U, l, B,
                          l);
    else
        scipy_cblas_dtrmm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, rows, columns, f, U, l, B,
                          l);
}

template <class T>
void multiply_triangle_right(Index m, Index n, const T* U, bool transpose, T* B, Index ld) {
    const int rows = static_cast<int>(m), columns = static_cast<int>(n), l = static_cast<int>(ld);
    const CBLAS_TRANSPOSE t = transpose ? CblasTrans : CblasNoTrans;
    if constexpr (std::is_same_v<T, float>)
        scipy_cblas_strmm(CblasRowMajor, CblasRight, CblasUpper, t, CblasNonUnit, rows, columns, 1, U, l, B, l);
    else
        scipy_cblas_dtrmm(CblasRowMajor, CblasRight, CblasUpper, t, CblasNonUnit, rows, columns, 1, U, l, B, l);
}

template <class T>
void add_square(Index m, Index n, const T* B, T* C, Index ld) {
    const int rows = static_cast<int>(m), columns = static_cast<int>(n), l = static_cast<int>(ld);
    if constexpr (std::is_same_v<T, float>)
        scipy_cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, rows, columns, 1, B, l, 1, C, l);
    else
        scipy_cblas_dsyrk(CblasRowMajor, CblasUpper, CblasNoTrans, rows, columns, 1, B, l, 1, C, l);
}

template void multiply(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void multiply(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);
template void add_product(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void add_product(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);
template Index cholesky(Index, float*);
template Index cholesky(Index, double*);
template void multiply_triangle_left(Index, Index, float, const float*, float*, Index);
template void multiply_triangle_left(Index, Index, double, const double*, double*, Index);
template void multiply_triangle_right(Index, Index, const float*, bool, float*, Index);
template void multiply_triangle_right(Index, Index, const double*, bool, double*, Index);
template void add_square(Index, Index, const float*, float*, Index);
template void add_square(Index, Index, const double*, double*, Index);

}  // namespace curvblas::cpu::blas
