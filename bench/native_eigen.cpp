// Eigen, a loop over threads. One size is a constant, that of Eigen's own inverse: of more of them gcc 12 took minutes
// to compile.
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

}  // namespace

extern "C" void eigen_inverse_of_real(int threads, int count, const int* n, const REAL* const* C, double damping,
                                      REAL* const* X) {
    inverse(threads, count, n, C, damping, X);
}

extern "C" int eigen_eigen_of_real(int threads, int count, const int* n, const REAL* const* C, REAL* const* values,
                                   REAL* const* V) {
    return eigen(threads, count, n, C, values, V);
}
