// The pairs that a limited-memory SR1 method keeps from step to step.
#pragma once

#include "algorithms/lsr1.h"

namespace curvblas::CURVBLAS_BACKEND {

/// S and Y (m, n) and their products K, as in Lsr1Models: pair i is row (first + i) % m. Rows without a pair are zero.
template <class T>
struct Lsr1Memory {
    Matrix<T> S, Y;
    double* K;
    Index first, kept;
};

/// A memory without pairs.
template <class T>
void lsr1_clear(const Queue& queue, const Lsr1Memory<T>& memory);

/// Puts the pair s, y (1, n) behind the others, in place of the oldest where the memory is full, unless |r.s| < 1e-8
/// |r| |s| for r = y - B s, or r is zero: returns whether it did. `gamma` as in Lsr1Models, null for its rule. The
/// status is not_finite for a pair that holds NaN or Inf, or whose squares overflow, and otherwise that of B s; pairs
/// without status ok are refused. What is refused leaves the memory as it was. S and Y are read twice for the test and,
/// for an accepted pair, twice for its products. A device is waited for.
template <class T>
bool lsr1_update(const Queue& queue, const Lsr1Memory<T>& memory, const double* gamma, const Matrix<const T>& s,
                 const Matrix<const T>& y, Status* status);

}  // namespace curvblas::CURVBLAS_BACKEND
