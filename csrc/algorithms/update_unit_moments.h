// Second moments of rows under weights of units: unitwise metrics (Ollivier 2015, "Riemannian metrics for neural
// networks I", section 2.2) and relative Fisher metrics (Sun and Nielsen 2017).
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// updated_k = decay M_k + scale sum_r w_rk x_r x_r^T for every unit k of every layer, where r runs over the N T rows
/// of R, which all units share. Shapes: R (N, T, d) and W (N, T, q), sets of rows without a batch; M and updated, q
/// matrices (p, p) with p = d, or p = d + 1 where bias appends an implicit 1 to every row. decay and scale are one
/// number each; without scale (null) it is (1 - decay) / N, and 0 where N = 0.
///
/// Units are the matrices of update_factors (kernels/update_factors.h), which says how sums are rounded, what becomes
/// of NaN and of parameters out of range, and what may overlap. Cost per layer: N T q p (p + 1) flops; 2 q p^2 words
/// and, where the rows are more than caches hold, N T d for each unit. Same bits for any number of threads.
template <class T>
struct UpdateUnitMoments {
    Stack<const T> M;
    Rows R, W;
    bool bias;
    const double* decay;
    const double* scale;
    Stack<T> updated;
};

template <class T>
void update_unit_moments(const Queue& queue, std::span<const UpdateUnitMoments<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
