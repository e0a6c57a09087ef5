// Factored Tikhonov damping (Martens and Grosse 2015, section 6.3).
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// pi = sqrt((tr A / p) / (tr G / q)), damping_A = pi sqrt(damping), damping_G = sqrt(damping) / pi for every pair.
/// Shapes: A (batch, p, p), G (batch, q, q); damping, damping_A, damping_G one number a pair. Only diagonals are read.
///
/// pi = 1 where either trace is not positive or not finite (a dead layer, a factor that holds NaN), so that a bad
/// factor does not spoil its partner. A damping that is negative or not finite gives NaN twice: the solvers' status 5.
/// Traces are summed in float64. Cost per pair: p + q flops and words.
template <class T>
struct FactoredDamping {
    Stack<const T> A, G;
    const double* damping;
    double* damping_A;
    double* damping_G;
};

template <class T>
void factored_damping(const Queue& queue, std::span<const FactoredDamping<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
