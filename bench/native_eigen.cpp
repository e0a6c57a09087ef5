// Eigen, a loop over threads: sizes known at compile time where a user could know them too.
#include <Eigen/Dense>

#include "native.h"

namespace {

template <class T, int N>
using Matrix = Eigen::Matrix<T, N, N, Eigen::RowMajor>;

/// Calls `work` with the size as a constant, or with Eigen::Dynamic: of larger constants gcc 12 took minutes to
/// compile.
template <class Work>
void with_size(int n, Work work) {
    switch (n) {
        case 4:
            return work(std::integral_constant<int, 4>());
        case 8:
            return work(std::integral_constant<int, 8>());
        default:
            return work(std::integral_constant<int, Eigen::Dynamic>());
    }
}

template <class T, int N>
void invert(const T* C, int n, T damping, T* X) {
    Matrix<T, N> damped = Eigen::Map<const Matrix<T, N>>(C, n, n);
    damped.diagonal().array() += damping;
    if constexpr (N == 4)
        Eigen::Map<Matrix<T, N>>(X, n, n) = damped.inverse();
    else
        Eigen::Map<Matrix<T, N>>(X, n, n) = damped.llt().solve(Matrix<T, N>::Identity(n, n));
}

template <class T>
void inverse(int threads, int count, const int* n, const T* const* C, double damping, T* const* X) {
    on_threads(threads, 0, count, n[0] != n[count - 1],
               [&](int i) { with_size(n[i], [&](auto size) { invert<T, size()>(C[i], n[i], T(damping), X[i]); }); });
}

/// The rows of V are the eigenvectors: they are written into a column-major matrix.
template <class T>
int eigen(int threads, int count, const int* n, const T* const* C, T* const* values, T* const* V) {
    int failed = 0;
    on_threads(threads, 0, count, n[0] != n[count - 1], [&](int i) {
        with_size(n[i], [&](auto size) {
            using Square = Eigen::Matrix<T, size(), size()>;
            const Eigen::SelfAdjointEigenSolver<Square> solver(Eigen::Map<const Square>(C[i], n[i], n[i]));
            Eigen::Map<Square>(V[i], n[i], n[i]) = solver.eigenvectors();
            Eigen::Map<Eigen::Matrix<T, size(), 1>>(values[i], n[i]) = solver.eigenvalues();
            if (solver.info() != Eigen::Success) {
#pragma omp atomic
                ++failed;
            }
        });
    });
    return failed;
}

template <class T>
void product(int threads, int count, const int* m, const int* n, const T* const* V, const T* const* A,
             const T* const* G, T* const* P) {
    using Any = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    on_threads(threads, 0, count, n[0] != n[count - 1], [&](int i) {
        if (m[i] != n[i]) {
            using Input = Eigen::Map<const Any>;
            const Any GV = Input(G[i], m[i], m[i]) * Input(V[i], m[i], n[i]);
            Eigen::Map<Any>(P[i], m[i], n[i]).noalias() = GV * Input(A[i], n[i], n[i]);
            return;
        }
        with_size(n[i], [&](auto size) {
            using Square = Matrix<T, size()>;
            using Input = Eigen::Map<const Square>;
            const Square GV = Input(G[i], n[i], n[i]) * Input(V[i], n[i], n[i]);
            Eigen::Map<Square>(P[i], n[i], n[i]).noalias() = GV * Input(A[i], n[i], n[i]);
        });
    });
}

}  // namespace

#define EXPORT(T, dtype)                                                                                           \
    extern "C" void eigen_inverse_##dtype(int threads, int count, const int* n, const T* const* C, double damping, \
                                          T* const* X) {                                                           \
        inverse(threads, count, n, C, damping, X);                                                                 \
    }                                                                                                              \
    extern "C" int eigen_eigen_##dtype(int threads, int count, const int* n, const T* const* C, T* const* values,  \
                                       T* const* V) {                                                              \
        return eigen(threads, count, n, C, values, V);                                                             \
    }                                                                                                              \
    extern "C" void eigen_product_##dtype(int threads, int count, const int* m, const int* n, const T* const* V,   \
                                          const T* const* A, const T* const* G, T* const* P) {                     \
        product(threads, count, m, n, V, A, G, P);                                                                 \
    }

EXPORT(float, float32)
EXPORT(double, float64)
