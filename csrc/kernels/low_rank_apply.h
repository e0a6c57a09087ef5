// Few combinations of few long rows: how bases are rotated, and how what is solved in them becomes a vector again.
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// P = Q R + Q_2 R_2 + diag(w) G for every matrix of every task, in float64, rounded to T once. Shapes: Q (batch, p,
/// m), R (batch, m, n), G and P (batch, p, n), w (batch, p); G may be absent (no data), and w then too, and so may Q_2
/// and R_2, which are shaped like Q and R and may have another m. P may be the first p rows of R (the same data and
/// strides) where there is no R_2; it may not overlap R, R_2 or G otherwise. m = 0 gives diag(w) G, or zeros. Where
/// `is_wanted`, one a matrix unless null, is zero, P is left as it is. Linear: there is no status, NaN spreads within
/// its column, and that of Q everywhere. Cost per matrix: 2 p m n flops; (m + p) n words, 2 p n more with G. Same bits
/// for any number of threads.
template <class T>
struct LowRankApply {
    Stack<const double> Q;
    Stack<const T> R, G;
    const double* w;
    Stack<T> P;
    const double* is_wanted = nullptr;
    Stack<const double> Q_2{};
    Stack<const T> R_2{};
};

template <class T>
void low_rank_apply(const Queue& queue, std::span<const LowRankApply<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
