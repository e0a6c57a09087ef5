// What the compiled peers share: a group of matrices, and the loop over it. Compiled by native.py, not part of the
// library: each source once for float and once for double (the macro REAL). Everything is row-major; LAPACK and
// LIBXSMM see the transposed arrays.
#pragma once

#include <omp.h>

#include <algorithm>

/// Calls `work(i)` for every matrix on the threads, about eight pieces a thread where the matrices are equal (`chunk`
/// of them each), one matrix a piece where they differ: those come largest first.
template <class Work>
void on_threads(int threads, int first, int count, bool ragged, Work work) {
    threads = std::min(threads, count - first);  // a single matrix waits for nobody
    const int chunk = ragged ? 1 : std::max(1, (count - first) / (8 * threads));
#pragma omp parallel for num_threads(threads) schedule(dynamic, chunk)
    for (int i = first; i < count; ++i) work(i);
}

/// Copies the lower triangle of a row-major matrix onto the upper one by tiles; LAPACK's "U" is our lower one.
template <class T>
void mirror(T* X, int n) {
    constexpr int tile = 32;
    for (int row = 0; row < n; row += tile)
        for (int column = 0; column <= row; column += tile)
            for (int i = row; i < std::min(n, row + tile); ++i)
                for (int j = column; j < std::min(i, column + tile); ++j) X[j * (long)n + i] = X[i * (long)n + j];
}

/// X = C + damping I.
template <class T>
void damped(const T* C, int n, T damping, T* X) {
    std::copy_n(C, (long)n * n, X);
    for (int i = 0; i < n; ++i) X[i * (long)(n + 1)] += damping;
}
