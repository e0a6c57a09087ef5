#include "cpu/blas.h"

#include <cblas.h>

#include <type_traits>

extern "C" {
void scipy_spotrf_(const char* uplo, const int* n, float* a, const int* lda, int* info);
void scipy_dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
}

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
Index cholesky_lower(Index n, T* A) {
    const int order = static_cast<int>(n);
    int info = 0;
    if constexpr (std::is_same_v<T, float>)
        scipy_spotrf_("U", &order, A, &order, &info);
    else
        scipy_dpotrf_("U", &order, A, &order, &info);
    return info;
}

template <class T>
void solve_lower(const Matrix<const T>& L, bool transpose, const Matrix<T>& X) {
    const Operand l = operand(L);
    // A matrix stored by columns is the transposed upper triangle of what is read by rows.
    const bool by_columns = l.transpose == CblasTrans;
    const CBLAS_UPLO part = by_columns ? CblasUpper : CblasLower;
    const CBLAS_TRANSPOSE t = transpose != by_columns ? CblasTrans : CblasNoTrans;
    const int n = static_cast<int>(X.rows), k = static_cast<int>(X.columns), ldx = static_cast<int>(X.row_stride);
    const int ldl = l.leading_dimension;
    if constexpr (std::is_same_v<T, float>) {
        if (k == 1) return scipy_cblas_strsv(CblasRowMajor, part, t, CblasNonUnit, n, L.data, ldl, X.data, ldx);
        scipy_cblas_strsm(CblasRowMajor, CblasLeft, part, t, CblasNonUnit, n, k, 1, L.data, ldl, X.data, ldx);
    } else {
        if (k == 1) return scipy_cblas_dtrsv(CblasRowMajor, part, t, CblasNonUnit, n, L.data, ldl, X.data, ldx);
        scipy_cblas_dtrsm(CblasRowMajor, CblasLeft, part, t, CblasNonUnit, n, k, 1, L.data, ldl, X.data, ldx);
    }
}

template void multiply(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void multiply(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);
template void add_product(const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void add_product(const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);
template Index cholesky_lower(Index, float*);
template Index cholesky_lower(Index, double*);
template void solve_lower(const Matrix<const float>&, bool, const Matrix<float>&);
template void solve_lower(const Matrix<const double>&, bool, const Matrix<double>&);

}  // namespace curvblas::cpu::blas
