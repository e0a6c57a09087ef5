// The functions of cuBLAS and cuSOLVER that we call, as their C interfaces declare them; column-major.
#pragma once

namespace curvblas::CURVBLAS_BACKEND::vendor_blas {

using Handle = void*;
constexpr int as_it_is = 0, transposed = 1;  // cublasOperation_t
constexpr int lower = 0, upper = 1;          // cublasFillMode_t
constexpr int with_vectors = 1;              // cusolverEigMode_t

template <class T>
struct Functions {
    int (*gemm)(Handle, int transpose_a, int transpose_b, int m, int n, int k, const T* alpha, const T* A, int lda,
                const T* B, int ldb, const T* beta, T* C, int ldc);
    int (*potrf_buffer)(Handle, int triangle, int n, T* A, int lda, int* words);
    int (*potrf)(Handle, int triangle, int n, T* A, int lda, T* buffer, int words, int* info);
    int (*potri_buffer)(Handle, int triangle, int n, T* A, int lda, int* words);
    int (*potri)(Handle, int triangle, int n, T* A, int lda, T* buffer, int words, int* info);
    int (*syevd_buffer)(Handle, int vectors, int triangle, int n, const T* A, int lda, const T* values, int* words);
    int (*syevd)(Handle, int vectors, int triangle, int n, T* A, int lda, T* values, T* buffer, int words, int* info);
};

struct Library {
    int (*create_blas)(Handle*);
    int (*set_blas_stream)(Handle, void* stream);
    int (*create_solver)(Handle*);
    int (*set_solver_stream)(Handle, void* stream);
    Functions<float> single_;
    Functions<double> double_;
};

/// Null where the libraries are not found.
const Library* library();

}  // namespace curvblas::CURVBLAS_BACKEND::vendor_blas
