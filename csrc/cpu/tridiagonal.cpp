#include "cpu/tridiagonal.h"

#include <algorithm>

extern "C" {
void scipy_ssytrd_(const char* uplo, const int* n, float* A, const int* lda, float* d, float* e, float* tau,
                   float* work, const int* lwork, int* info);
void scipy_dsytrd_(const char* uplo, const int* n, double* A, const int* lda, double* d, double* e, double* tau,
                   double* work, const int* lwork, int* info);
}

namespace curvblas::cpu {
namespace {

constexpr Index block = 64;  // LAPACK's are at most as wide

template <class T>
struct Lapack;
template <>
struct Lapack<float> {
    static constexpr auto sytrd = scipy_ssytrd_;
};
template <>
struct Lapack<double> {
    static constexpr auto sytrd = scipy_dsytrd_;
};

}  // namespace

template <class T>
Index tridiagonal_words(Index n) {
    return (block + 2) * n;
}

template <class T>
void tridiagonalise(Index n, T* A, T* tau, double* diagonal, double* off_diagonal, T* work) {
    T *const d = work, *const e = d + n;
    const int order = static_cast<int>(n), words = static_cast<int>(block * n);
    int info = 0;
    Lapack<T>::sytrd("L", &order, A, &order, d, e, tau, e + n, &words, &info);
    std::copy_n(d, n, diagonal);
    std::copy_n(e, std::max<Index>(n - 1, 0), off_diagonal);
}

template Index tridiagonal_words<float>(Index);
template Index tridiagonal_words<double>(Index);
template void tridiagonalise(Index, float*, float*, double*, double*, float*);
template void tridiagonalise(Index, double*, double*, double*, double*, double*);

}  // namespace curvblas::cpu
