// A C user's loops over the BLAS and LAPACK of any library (MKL, OpenBLAS), whose functions are given as pointers:
// matrices of at least `large` rows one after the other on all threads of the library, then the others one a thread.
#include <cstddef>
#include <vector>

#include "native.h"

namespace {

using SetThreads = void (*)(int);

/// Runs `work(i)` for the large matrices on the library's threads, then for the others on ours.
template <class Work>
void both_ways(SetThreads set_threads, int threads, int large, int count, const int* n, Work work) {
    int first = 0;
    if (count && n[0] >= large) set_threads(threads);
    for (; first < count && n[first] >= large; ++first) work(first);
    if (first == count) return;
    set_threads(1);
    on_threads(threads, first, count, n[first] != n[count - 1], work);
}

// The lengths of the strings stand last in gfortran's convention; C ignores them.
template <class T>
using Triangular = void (*)(const char*, const int*, T*, const int*, int*, std::size_t);

/// POTRF and POTRI in place, then the mirror image. Returns how many failed.
template <class T>
int inverse_loop(Triangular<T> potrf, Triangular<T> potri, SetThreads set_threads, int threads, int large, int count,
                 const int* n, const T* const* C, double damping, T* const* X) {
    int failed = 0;
    both_ways(set_threads, threads, large, count, n, [&](int i) {
        int factorised = 0, inverted = 0;
        damped(C[i], n[i], T(damping), X[i]);
        potrf("U", &n[i], X[i], &n[i], &factorised, 1);
        potri("U", &n[i], X[i], &n[i], &inverted, 1);
        mirror(X[i], n[i]);
        if (factorised || inverted) {
#pragma omp atomic
            ++failed;
        }
    });
    return failed;
}

template <class T>
using Syevd = void (*)(const char*, const char*, const int*, T*, const int*, T*, T*, const int*, int*, const int*, int*,
                       std::size_t, std::size_t);

/// SYEVD of a copy; the rows of V are the eigenvectors. Returns how many failed.
template <class T>
int eigen_loop(Syevd<T> syevd, SetThreads set_threads, int threads, int large, int count, const int* n,
               const T* const* C, T* const* values, T* const* V) {
    int failed = 0;
    both_ways(set_threads, threads, large, count, n, [&](int i) {
        static thread_local std::vector<T> work;
        static thread_local std::vector<int> integers;
        const int words = 1 + 6 * n[i] + 2 * n[i] * n[i], ints = 3 + 5 * n[i];
        if (work.size() < (std::size_t)words) work.resize(words);
        if (integers.size() < (std::size_t)ints) integers.resize(ints);
        int info = 0;
        std::copy_n(C[i], (long)n[i] * n[i], V[i]);
        syevd("V", "U", &n[i], V[i], &n[i], values[i], work.data(), &words, integers.data(), &ints, &info, 1, 1);
        if (info) {
#pragma omp atomic
            ++failed;
        }
    });
    return failed;
}

template <class T>
using Gemm = void (*)(int, int, int, int, int, int, T, const T*, int, const T*, int, T, T*, int);

/// P = (G V) A by the CBLAS.
template <class T>
void product_loop(Gemm<T> gemm, SetThreads set_threads, int threads, int large, int count, const int* m, const int* n,
                  const T* const* V, const T* const* A, const T* const* G, T* const* P) {
    constexpr int row_major = 101, plain = 111;
    both_ways(set_threads, threads, large, count, n, [&](int i) {
        static thread_local std::vector<T> GV;
        if (GV.size() < (std::size_t)m[i] * n[i]) GV.resize((std::size_t)m[i] * n[i]);
        gemm(row_major, plain, plain, m[i], n[i], m[i], T(1), G[i], m[i], V[i], n[i], T(0), GV.data(), n[i]);
        gemm(row_major, plain, plain, m[i], n[i], n[i], T(1), GV.data(), n[i], A[i], n[i], T(0), P[i], n[i]);
    });
}

}  // namespace

extern "C" int inverse_loop_of_real(Triangular<REAL> potrf, Triangular<REAL> potri, SetThreads set, int threads,
                                    int large, int count, const int* n, const REAL* const* C, double damping,
                                    REAL* const* X) {
    return inverse_loop(potrf, potri, set, threads, large, count, n, C, damping, X);
}

extern "C" int eigen_loop_of_real(Syevd<REAL> syevd, SetThreads set, int threads, int large, int count, const int* n,
                                  const REAL* const* C, REAL* const* values, REAL* const* V) {
    return eigen_loop(syevd, set, threads, large, count, n, C, values, V);
}

extern "C" void product_loop_of_real(Gemm<REAL> gemm, SetThreads set, int threads, int large, int count, const int* m,
                                     const int* n, const REAL* const* V, const REAL* const* A, const REAL* const* G,
                                     REAL* const* P) {
    product_loop(gemm, set, threads, large, count, m, n, V, A, G, P);
}
