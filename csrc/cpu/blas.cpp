#include "cpu/blas.h"

#include <cblas.h>

#include <type_traits>

namespace curvblas::cpu::blas {
namespace {

struct Operand {
    CBLAS_TRANSPOSE transpose;
    int leading_dimension;
};

template <class T>
Operand operand(const Matrix<T>& A) {
    if (A.column_stride == 1 && A.row_stride >= A.columns) return {CblasNoTrans, static_cast<int>(A.row_stride)};
    return {CblasTrans, static_cast<int>(A.column_stride)};
}

/// C = alpha A B + beta C
template <class T>
void gemm(T alpha, const Matrix<const T>& A, const Matrix<const T>& B, T beta, const Matrix<T>& C) {
    const Operand a = operand(A), b = operand(B);
    const int m = static_cast<int>(C.rows), n = static_cast<int>(C.columns), k = static_cast<int>(A.columns);
    const int ldc = static_cast<int>(C.row_stride);
    if constexpr (std::is_same_v<T, float>)
        scipy_cblas_sgemm(CblasRowMajor, a.transpose, b.transpose, m, n, k, alpha, A.data, a.leading_dimension, B.data,
                          b.leading_dimension, beta, C.data, ldc);
    else
        scipy_cblas_dgemm(CblasRowMajor, a.transpose, b.transpose, m, n, k, alpha, A.data, a.leading_dimension, B.data,
                          b.leading_dimension, beta, C.data, ldc);
}

}  // namespace

void stay_on_one_thread() {
    if (scipy_openblas_get_num_threads() != 1) scipy_openblas_set_num_threads(1);
}

const char* description() { return scipy_openblas_get_config(); }

template <class T>
void multiply(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    gemm(T(1), A, B, T(0), C);
}

template <class T>
void add_product(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    gemm(T(1), A, B, T(1), C);
}

template <class T>
void subtract_product(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    gemm(T(-1), A, B, T(1), C);
}

template <class T>
void multiply_triangle(Index m, Index n, T f, const T* L, Index ldl, T* B, Index ldb) {
    const int rows = static_cast<int>(m), columns = static_cast<int>(n);
    const int l = static_cast<int>(ldl), b = static_cast<int>(ldb);
    if constexpr (std::is_same_v<T, float>)
        scipy_cblas_strmm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, rows, columns, f, L, l, B,
                          b);
    else
        scipy_cblas_dtrmm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, rows, columns, f, L, l, B,
                          b);
}

template void multiply(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void multiply(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);
template void add_product(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void add_product(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);
template void subtract_product(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void subtract_product(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);
template void multiply_triangle(Index, Index, float, const float*, Index, float*, Index);
template void multiply_triangle(Index, Index, double, const double*, Index, double*, Index);

}  // namespace curvblas::cpu::blas
