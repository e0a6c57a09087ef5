// The pairs that limited-memory quasi-Newton methods keep from step to step.
#pragma once

#include "algorithms/pair_models.h"
#include "core/status.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What is kept for a stack of models, as in PairModels: S and Y (batch, m, n), K (batch, 2 m, 2 m) and ring (batch,
/// 2). Rows without a pair are zero, and so are their products.
template <class T>
struct PairMemory {
    Stack<T> S, Y;
    double *K, *ring;

    PairModels<T> models(const double* initial) const { return {read_only(S), read_only(Y), {}, ring, K, initial}; }
};

/// Memories without pairs.
template <class T>
void pair_memory_clear(const Queue& queue, const PairMemory<T>& memory);

/// Puts pairs s, y (batch, 1, n) behind the others, in place of the oldest where a memory is full, if they are
/// accepted: then `accepted` is 1, one a model. What is refused leaves its memory as it was, and 0. The status is
/// not_finite for a pair that holds NaN or Inf, or whose squares overflow; it is refused.
template <class T>
struct PairUpdate {
    PairMemory<T> memory;
    Stack<const T> s, y;
    Status *accepted, *status;
};

/// For SR1: accepted unless |r.s| < 1e-8 |r| |s| for r = y - B s, or r is zero or rounding of y; B without the pair
/// that would be replaced. `gamma`, one a model, as in lsr1.h. The status is that of B s otherwise. S and Y are read
/// twice.
template <class T>
void lsr1_update(const Queue& queue, const PairUpdate<T>& update, const double* gamma);

/// For BFGS: accepted if s.y > 1e-10 |s| |y|. `is_damped`: y becomes theta y + (1 - theta) B s first, so that s.y = 0.2
/// s.B s, where s.y is less than that (Powell 1978); a memory without pairs knows no B. S and Y are read once, and
/// three times if damped; a device is not waited for.
template <class T>
void lbfgs_update(const Queue& queue, const PairUpdate<T>& update, bool is_damped);

}  // namespace curvblas::CURVBLAS_BACKEND
