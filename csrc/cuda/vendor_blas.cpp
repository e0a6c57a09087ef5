#include "cuda/vendor_blas.h"

#include <map>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <vector>

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

/// The use of a pair of handles, set to the queue's stream. They are expensive to make, and two threads may not use one
/// at a time: those that nobody uses wait for the next call, for the life of the process.
class Borrowed {
  public:
    explicit Borrowed(const Queue& queue) : device_(queue.device()) {
        {
            const std::lock_guard lock(mutex);
            std::vector<Handles>& waiting = idle[device_];
            if (!waiting.empty()) handles_ = waiting.back(), waiting.pop_back();
        }
        if (!handles_.blas) check(library()->create_blas(&handles_.blas), "cublasCreate");
        if (!handles_.solver) check(library()->create_solver(&handles_.solver), "cusolverDnCreate");
        check(library()->set_blas_stream(handles_.blas, queue.stream()), "cublasSetStream");
        check(library()->set_solver_stream(handles_.solver, queue.stream()), "cusolverDnSetStream");
    }
    ~Borrowed() {
        const std::lock_guard lock(mutex);
        idle[device_].push_back(handles_);
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;

    Handle blas() const { return handles_.blas; }
    Handle solver() const { return handles_.solver; }

  private:
    inline static std::mutex mutex;
    inline static std::map<int, std::vector<Handles>> idle;  // by device
    int device_;
    Handles handles_;
};

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
    const Borrowed handles(queue);
    check(functions<T>().gemm(handles.blas(), b.operation, a.operation, static_cast<int>(C.columns),
                              static_cast<int>(C.rows), static_cast<int>(A.columns), &one, b.data, b.leading_dimension,
                              a.data, a.leading_dimension, &zero, C.data, static_cast<int>(C.row_stride)),
          "gemm");
}

// The lower triangle of a row-major matrix is the upper one of the column-major matrix.

template <class T>
void cholesky(const Queue& queue, Index n, T* A, Index ld, int* minor) {
    const Borrowed handles(queue);
    const Handle solver = handles.solver();
    const int size = static_cast<int>(n), leading_dimension = static_cast<int>(ld);
    int words = 0;
    check(functions<T>().potrf_buffer(solver, upper, size, A, leading_dimension, &words), "potrf_bufferSize");
    const auto buffer = queue.scratch<T>(words);
    check(functions<T>().potrf(solver, upper, size, A, leading_dimension, buffer.get(), words, minor), "potrf");
}

template <class T>
void invert_from_cholesky(const Queue& queue, Index n, T* A, Index ld, int* zero) {
    const Borrowed handles(queue);
    const Handle solver = handles.solver();
    const int size = static_cast<int>(n), leading_dimension = static_cast<int>(ld);
    int words = 0;
    check(functions<T>().potri_buffer(solver, upper, size, A, leading_dimension, &words), "potri_bufferSize");
    const auto buffer = queue.scratch<T>(words);
    check(functions<T>().potri(solver, upper, size, A, leading_dimension, buffer.get(), words, zero), "potri");
}

template <class T>
void symmetric_eigen(const Queue& queue, Index n, T* A, T* values, int* failed) {
    const Borrowed handles(queue);
    const Handle solver = handles.solver();
    const int size = static_cast<int>(n);
    int words = 0;
    check(functions<T>().syevd_buffer(solver, with_vectors, upper, size, A, size, values, &words), "syevd_bufferSize");
    const auto buffer = queue.scratch<T>(words);
    check(functions<T>().syevd(solver, with_vectors, upper, size, A, size, values, buffer.get(), words, failed),
          "syevd");
}

#define CURVBLAS_FOR_BOTH(T)                                                                                \
    template void multiply(const Queue&, const Matrix<const T>&, const Matrix<const T>&, const Matrix<T>&); \
    template void cholesky(const Queue&, Index, T*, Index, int*);                                           \
    template void invert_from_cholesky(const Queue&, Index, T*, Index, int*);                               \
    template void symmetric_eigen(const Queue&, Index, T*, T*, int*);
CURVBLAS_FOR_BOTH(float)
CURVBLAS_FOR_BOTH(double)
#undef CURVBLAS_FOR_BOTH

}  // namespace curvblas::CURVBLAS_BACKEND::vendor_blas
