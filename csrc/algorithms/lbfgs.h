// Limited-memory BFGS: its search directions.
#pragma once

#include "algorithms/pair_models.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// direction = -H g for every model, g and direction (batch, 1, n): H is what BFGS makes of `initial` I, from the
/// oldest pair to the newest (Nocedal 1980). Where `initial` is null, it is s.y / y.y of the newest pair that is used,
/// or 1. Pairs with s.y <= 1e-10 |s| |y| are not used, so that H is positive definite. Products are formed and summed
/// in float64. NaN where a pair (used or not) or g is not finite, squares overflow, or `initial` is not positive and
/// finite. Nothing that is written may overlap an input. Linear: there is no status.
///
/// With K: the compact form, S and Y being read twice, 8 m n flops. Without: by two loops over the pairs of a
/// small model, 14 m n flops, one model a thread (a block of threads on a device); beyond, K is formed first, 4 m^2 n
/// flops more. Same bits for any number of threads, and for a model alone.
template <class T>
struct LbfgsDirection {
    PairModels<T> models;
    Stack<const T> g;
    Stack<T> direction;
};

template <class T>
void lbfgs_direction(const Queue& queue, const LbfgsDirection<T>& task);

}  // namespace curvblas::CURVBLAS_BACKEND
