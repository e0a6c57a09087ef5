// A symmetric matrix made tridiagonal, and the eigenproblem of that by divide and conquer, by LAPACK (scipy-openblas32)
// on one thread.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// The words of T and the ints that solve_tridiagonal needs beside its matrices.
template <class T>
Index tridiagonal_words(Index n);
Index tridiagonal_ints(Index n);

/// A = Q S Q^T, S = Z diag(values) Z^T tridiagonal, values ascending. A (n, n) is full, contiguous, finite, neither
/// near overflow nor near underflow; it receives the reflectors of Q, whose n - 1 factors are tau (see BackTransform).
/// Row j of Zt (n, n) becomes the eigenvector of values[j]. False if the iteration did not converge.
template <class T>
bool solve_tridiagonal(Index n, T* A, T* tau, T* values, T* Zt, T* work, int* ints);

}  // namespace curvblas::cpu
