// A symmetric matrix made tridiagonal, by LAPACK (scipy-openblas32) on one thread.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// The words of T that tridiagonalise needs beside its matrix.
template <class T>
Index tridiagonal_words(Index n);

/// A = Q S Q^T, S tridiagonal. A (n, n) is full, contiguous, finite, neither near overflow nor near underflow; it
/// receives the reflectors of Q, whose n - 1 factors are tau (see BackTransform).
template <class T>
void tridiagonalise(Index n, T* A, T* tau, double* diagonal, double* off_diagonal, T* work);

}  // namespace curvblas::cpu
