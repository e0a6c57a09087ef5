// Eigen, a loop over threads. Only the smallest sizes are constants: of more of them gcc 12 took minutes to compile.
#include <Eigen/Dense>

#include "native.h"

namespace {

template <class T, int N>
using Matrix = Eigen::Matrix<T, N, N, Eigen::RowMajor>;

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
    on_threads(threads, 0, count, n[0] != n[count - 1], [&](int i) {
        const auto one = n[i] == 4 ? invert<T, 4> : invert<T, Eigen::Dynamic>;
        one(C[i], n[i], T(damping), X[i]);
    });
}

/// The rows of V are the eigenvectors: they are written into a column-major matrix.
template <class T>
int eigen(int threads, int count, const int* n, const T* const* C, T* const* values, T* const* V) {
    using Square = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
    int failed = 0;
    on_threads(threads, 0, count, n[0] != n[count - 1], [&](int i) {
        const Eigen::SelfAdjointEigenSolver<Square> solver(Eigen::Map<const Square>(C[i], n[i], n[i]));
        Eigen::Map<Square>(V[i], n[i], n[i]) = solver.eigenvectors();
        Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>(values[i], n[i]) = solver.eigenvalues();
        if (solver.info() != Eigen::Success) {
#pragma omp atomic
            ++failed;
        }
    });
    return failed;
}

template <class T, int N>
void multiply(const T* V, const T* A, const T* G, int m, int n, T* P) {
    using Any = Matrix<T, N>;
    const Any GV = Eigen::Map<const Any>(G, m, m) * Eigen::Map<const Any>(V, m, n);
    Eigen::Map<Any>(P, m, n).noalias() = GV * Eigen::Map<const Any>(A, n, n);
}

template <class T>
void product(int threads, int count, const int* m, const int* n, const T* const* V, const T* const* A,
             const T* const* G, T* const* P) {
    on_threads(threads, 0, count, n[0] != n[count - 1], [&](int i) {
        const auto one = m[i] == 8 && n[i] == 8 ? multiply<T, 8> : multiply<T, Eigen::Dynamic>;
        one(V[i], A[i], G[i], m[i], n[i], P[i]);
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
