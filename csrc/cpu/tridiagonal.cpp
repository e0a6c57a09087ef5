#include "cpu/tridiagonal.h"

extern "C" {
void scipy_ssytrd_(const char* uplo, const int* n, float* A, const int* lda, float* d, float* e, float* tau,
                   float* work, const int* lwork, int* info);
void scipy_dsytrd_(const char* uplo, const int* n, double* A, const int* lda, double* d, double* e, double* tau,
                   double* work, const int* lwork, int* info);
void scipy_sstedc_(const char* compz, const int* n, float* d, float* e, float* Z, const int* ldz, float* work,
                   const int* lwork, int* iwork, const int* liwork, int* info);
void scipy_dstedc_(const char* compz, const int* n, double* d, double* e, double* Z, const int* ldz, double* work,
                   const int* lwork, int* iwork, const int* liwork, int* info);
}

namespace curvblas::cpu {
namespace {

constexpr Index block = 64;  // LAPACK's are at most as wide

Index divide_and_conquer_words(Index n) { return 1 + 4 * n + n * n; }
Index shared_words(Index n) {
    const Index blocked = block * n, divided = divide_and_conquer_words(n);
    return blocked > divided ? blocked : divided;
}

template <class T>
struct Lapack;
template <>
struct Lapack<float> {
    static constexpr auto sytrd = scipy_ssytrd_;
    static constexpr auto stedc = scipy_sstedc_;
};
template <>
struct Lapack<double> {
    static constexpr auto sytrd = scipy_dsytrd_;
    static constexpr auto stedc = scipy_dstedc_;
};

}  // namespace

template <class T>
Index tridiagonal_words(Index n) {
    return n + shared_words(n);
}
Index tridiagonal_ints(Index n) { return 3 + 5 * n; }

template <class T>
bool solve_tridiagonal(Index n, T* A, T* tau, T* values, T* Zt, T* work, int* ints) {
    T *const e = work, *const shared = e + n;
    const int order = static_cast<int>(n), words = static_cast<int>(shared_words(n));
    const int ints_size = static_cast<int>(tridiagonal_ints(n));
    int info = 0;
    Lapack<T>::sytrd("L", &order, A, &order, values, e, tau, shared, &words, &info);
    Lapack<T>::stedc("I", &order, values, e, Zt, &order, shared, &words, ints, &ints_size, &info);
    return info == 0;
}

template Index tridiagonal_words<float>(Index);
template Index tridiagonal_words<double>(Index);
template bool solve_tridiagonal(Index, float*, float*, float*, float*, float*, int*);
template bool solve_tridiagonal(Index, double*, double*, double*, double*, double*, int*);

}  // namespace curvblas::cpu
