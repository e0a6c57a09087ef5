#include "cpu/symmetric_eigen.h"

#include <type_traits>

extern "C" {
void scipy_ssytrd_(const char* uplo, const int* n, float* A, const int* lda, float* d, float* e, float* tau,
                   float* work, const int* lwork, int* info);
void scipy_dsytrd_(const char* uplo, const int* n, double* A, const int* lda, double* d, double* e, double* tau,
                   double* work, const int* lwork, int* info);
void scipy_sstedc_(const char* compz, const int* n, float* d, float* e, float* Z, const int* ldz, float* work,
                   const int* lwork, int* iwork, const int* liwork, int* info);
void scipy_dstedc_(const char* compz, const int* n, double* d, double* e, double* Z, const int* ldz, double* work,
                   const int* lwork, int* iwork, const int* liwork, int* info);
void scipy_sormtr_(const char* side, const char* uplo, const char* trans, const int* m, const int* n, const float* A,
                   const int* lda, const float* tau, float* C, const int* ldc, float* work, const int* lwork,
                   int* info);
void scipy_dormtr_(const char* side, const char* uplo, const char* trans, const int* m, const int* n, const double* A,
                   const int* lda, const double* tau, double* C, const int* ldc, double* work, const int* lwork,
                   int* info);
}

namespace curvblas::cpu {
namespace {

// LAPACK's blocks are at most 64 wide, and ormtr keeps one triangle of 65 x 64 beside them.
constexpr Index block = 64, triangle = 65 * 64;

Index divide_and_conquer_words(Index n) { return 1 + 4 * n + n * n; }
Index shared_words(Index n) {
    const Index blocked = block * n + triangle, divided = divide_and_conquer_words(n);
    return blocked > divided ? blocked : divided;
}

template <class T>
struct Lapack;
template <>
struct Lapack<float> {
    static constexpr auto sytrd = scipy_ssytrd_;
    static constexpr auto stedc = scipy_sstedc_;
    static constexpr auto ormtr = scipy_sormtr_;
};
template <>
struct Lapack<double> {
    static constexpr auto sytrd = scipy_dsytrd_;
    static constexpr auto stedc = scipy_dstedc_;
    static constexpr auto ormtr = scipy_dormtr_;
};

}  // namespace

template <class T>
Index symmetric_eigen_words(Index n) {
    return 2 * n + shared_words(n);
}
Index symmetric_eigen_ints(Index n) { return 3 + 5 * n; }

template <class T>
bool solve_symmetric(Index n, T* A, T* values, T* Vt, T* work, int* ints) {
    T *const e = work, *const tau = e + n, *const shared = tau + n;
    const int order = static_cast<int>(n), words = static_cast<int>(shared_words(n));
    const int ints_size = static_cast<int>(symmetric_eigen_ints(n));
    int info = 0;
    Lapack<T>::sytrd("L", &order, A, &order, values, e, tau, shared, &words, &info);
    Lapack<T>::stedc("I", &order, values, e, Vt, &order, shared, &words, ints, &ints_size, &info);
    if (info != 0) return false;
    Lapack<T>::ormtr("L", "L", "N", &order, &order, A, &order, tau, Vt, &order, shared, &words, &info);
    return info == 0;
}

template Index symmetric_eigen_words<float>(Index);
template Index symmetric_eigen_words<double>(Index);
template bool solve_symmetric(Index, float*, float*, float*, float*, int*);
template bool solve_symmetric(Index, double*, double*, double*, double*, int*);

}  // namespace curvblas::cpu
