// The symmetric eigenproblem by divide and conquer, of LAPACK (scipy-openblas32), on one thread.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// The words of T and the ints that solve_symmetric needs beside its matrices.
template <class T>
Index symmetric_eigen_words(Index n);
Index symmetric_eigen_ints(Index n);

/// A = V diag(values) V^T, values ascending. A (n, n) is full, contiguous, finite, neither near overflow nor near
/// underflow, and is overwritten. Row j of Vt (n, n) becomes the eigenvector of values[j]. False if the iteration did
/// not converge.
template <class T>
bool solve_symmetric(Index n, T* A, T* values, T* Vt, T* work, int* ints);

}  // namespace curvblas::cpu
