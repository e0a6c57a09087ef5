// The two-sided product that applies a Kronecker-factored inverse (Martens and Grosse 2015, section 4.2).
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// P = G_inv V A_inv for every matrix of every task; shapes (m, m)(m, n)(n, n) -> (m, n). With `inner`, one number a
/// matrix, also inner = sum of V o P in float64, in an order that depends on the shape alone.
/// Both inverses are read whole, as they are: nothing is assumed about their symmetry. P may not overlap an input.
/// Cost per matrix: 2 m n (m + n) flops, m^2 + n^2 + 2 m n words. Same bits for any number of threads.
template <class T>
struct Precondition {
    Stack<const T> V, A_inv, G_inv;
    Stack<T> P;
    double* inner = nullptr;
};

template <class T>
void precondition(const Queue& queue, std::span<const Precondition<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
