#include "cuda/vendor_blas.h"

#include <map>
#include <stdexcept>
#include <type_traits>

#include "core/require.h"
#include "cuda/vendor_library.h"

namespace curvblas::CURVBLAS_BACKEND::vendor_blas {
namespace {

template <class T>
const Functions<T>& functions() {
    if constexpr (std::is_same_v<T, float>)
        return library()->single_;
    else
        return library()->double_;
}

void check(int error, const char* function) {
    if (error) throw std::runtime_error(sentence("CUDA: ", function, " failed with status ", error));
}

struct Handles {
    Handle blas = nullptr, solver = nullptr;
};

/// The handles of this thread and of the queue's device, set to its stream.
const Handles& handles(const Queue& queue) {
    // A handle may not be shared by threads, and is expensive to make.
    thread_local std::map<int, Handles> of_device;
    Handles& own = of_device[queue.device()];
    if (!own.blas) check(library()->create_blas(&own.blas), "cublasCreate");
    if (!own.solver) check(library()->create_solver(&own.solver), "cusolverDnCreate");
    check(library()->set_blas_stream(own.blas, queue.stream()), "cublasSetStream");
    check(library()->set_solver_stream(own.solver, queue.stream()), "cusolverDnSetStream");
    return own;
}

/// A row-major matrix is the transposed column-major one.
template <class T>
struct ColumnMajor {
    const T* data;
    int operation, leading_dimension;

    explicit ColumnMajor(const Matrix<const T>& A)
        : data(A.data),
          operation(A.column_stride == 1 ? as_it_is : transposed),
          leading_dimension(static_cast<int>(A.column_stride == 1 ? A.row_stride : A.column_stride)) {}
};

}  // namespace

bool available() { return library() != nullptr; }

template <class T>
void multiply(const Queue& queue, const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    // C^T = B^T A^T
    const ColumnMajor<T> a(A), b(B);
    const T one = 1, zero = 0;
    check(functions<T>().gemm(handles(queue).blas, b.operation, a.operation, static_cast<int>(C.columns),
                              static_cast<int>(C.rows), static_cast<int>(A.columns), &one, b.data, b.leading_dimension,
                              a.data, a.leading_dimension, &zero, C.data, static_cast<int>(C.row_stride)),
          "gemm");
}

// The lower triangle of a row-major matrix is the upper one of the column-major matrix.

template <class T>
void cholesky(const Queue& queue, Index n, T* A, Index ld, int* minor) {
    const Handle solver = handles(queue).solver;
    const int size = static_cast<int>(n), leading_dimension = static_cast<int>(ld);
    int words = 0;
    check(functions<T>().potrf_buffer(solver, upper, size, A, leading_dimension, &words), "potrf_bufferSize");
    const auto buffer = queue.scratch<T>(words);
    check(functions<T>().potrf(solver, upper, size, A, leading_dimension, buffer.get(), words, minor), "potrf");
}

template <class T>
void invert_from_cholesky(const Queue& queue, Index n, T* A, Index ld, int* zero) {
    const Handle solver = handles(queue).solver;
    const int size = static_cast<int>(n), leading_dimension = static_cast<int>(ld);
    int words = 0;
    check(functions<T>().potri_buffer(solver, upper, size, A, leading_dimension, &words), "potri_bufferSize");
    const auto buffer = queue.scratch<T>(words);
    check(functions<T>().potri(solver, upper, size, A, leading_dimension, buffer.get(), words, zero), "potri");
}

#define CURVBLAS_FOR_BOTH(T)                                                                                \
    template void multiply(const Queue&, const Matrix<const T>&, const Matrix<const T>&, const Matrix<T>&); \
    template void cholesky(const Queue&, Index, T*, Index, int*);                                           \
    template void invert_from_cholesky(const Queue&, Index, T*, Index, int*);
CURVBLAS_FOR_BOTH(float)
CURVBLAS_FOR_BOTH(double)
#undef CURVBLAS_FOR_BOTH

}  // namespace curvblas::CURVBLAS_BACKEND::vendor_blas
