// Directions of limited-memory BFGS for many small models.
#pragma once

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Whether a model is small enough.
constexpr bool is_for_two_loop(Index m, Index n) { return n <= 4096 && m <= 512; }

/// direction = -H g for every model of the stack by two loops over its pairs (Nocedal 1980), in float64, rounded once;
/// H and what else there is to say as in algorithms/lbfgs.h. Shapes: S and Y (batch, m, n) for which
/// is_for_two_loop, the oldest pair first, mask (batch, 1, m; no data: all), g and direction (batch, 1, n),
/// `initial` one a model, or null. Cost per model: 14 m n flops; (2 m + 2) n words. One model a thread, or a block of
/// threads. Same bits for any number of threads.
template <class T>
struct LbfgsTwoLoop {
    Stack<const T> S, Y, mask, g;
    const double* initial;
    Stack<T> direction;
};

template <class T>
void lbfgs_two_loop(const Queue& queue, const LbfgsTwoLoop<T>& task);

}  // namespace curvblas::CURVBLAS_BACKEND
