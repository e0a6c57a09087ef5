// Orthogonalisation by a fixed number of Newton-Schulz steps, as Muon does it (Jordan et al. 2024).
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// X <- a X + (b A + c A^2) X with A = X X^T.
struct NewtonSchulzSteps {
    Index count;
    double a, b, c;
};

/// X = the iterate after `count` steps from B / (||B||_F + 1e-7), for every matrix of every task; B and X (batch, m,
/// n). Every singular value s of the start becomes p(p(.. p(s))) with p(s) = a s + b s^3 + c s^5, the singular vectors
/// stay. Tall matrices are worked on transposed. X may not overlap B. There is no status: a matrix that holds NaN or
/// Inf gives NaN, zeros give zeros. Cost per step and matrix, with s = min(m, n) and l = max(m, n): s^2 (l + s) flops
/// for the two symmetric products, which are formed on one side of their diagonals in blocks, and 2 s^2 l for the last.
/// Same bits for any number of threads.
template <class T>
struct NewtonSchulz {
    Stack<const T> B;
    Stack<T> X;
};

/// Added to the norm, as in the reference, so that zeros are not divided by zero.
constexpr double newton_schulz_epsilon = 1e-7;

template <class T>
void newton_schulz(const Queue& queue, std::span<const NewtonSchulz<T>> group, const NewtonSchulzSteps& steps);

}  // namespace curvblas::CURVBLAS_BACKEND
