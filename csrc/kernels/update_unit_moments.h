// Second moments of rows under weights of units: unitwise metrics (Ollivier 2015, "Riemannian metrics for neural
// networks I") and relative Fisher metrics (Sun and Nielsen 2017).
#pragma once

#include <span>
#include <vector>

#include "core/view.h"
#include "kernels/update_factors.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// updated_k = decay M_k + scale sum_r w_rk x_r x_r^T for every unit k of every layer, where r runs over the N T rows
/// of R, which all units share. Shapes: R (N, T, d) and W (N, T, q), sets of rows without a batch; M and updated, q
/// matrices (p, p) with p = d, or p = d + 1 where bias appends an implicit 1 to every row. decay and scale are one
/// number each; without scale (null) it is (1 - decay) / N, and 0 where N = 0.
///
/// Only lower triangles of M are read, and nothing of them where decay is 0; `updated` is written whole and exactly
/// symmetric, and may be M itself. R and W may not overlap `updated`. A decay outside [0, 1] or a scale that is not
/// finite makes that layer NaN (there is no status); NaN in R or in a parameter stays within its layer, and in W or M
/// within its unit. Rows and weights of any dtype are converted to T, which is what they are multiplied and accumulated
/// in; what is beyond 4,096 rows is added in float64, or enters the average every so often.
///
/// Large matrices, and all on a device, are those of update_factors. On the CPU, many small ones are one product: the
/// weights times the products of all pairs of columns, which are formed once for all units. Cost per layer: N T q p (p
/// + 1) flops; 2 q p^2 words and N T (p + q), for each unit where it is large. Scratch on the CPU: as update_factors,
/// or below 6 MB a thread. Same bits for any number of threads, for a layer alone or in a group.
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

/// Appends the units of a layer as factors of their own.
template <class T>
void append_units(const UpdateUnitMoments<T>& layer, std::vector<UpdateFactors<T>>& units) {
    for (Index k = 0; k < layer.M.batch; ++k) {
        Rows w = layer.W;
        w.data = static_cast<const std::byte*>(w.data) + k * w.d_stride * item_size(w.dtype);
        w.d = w.d_stride = 1;
        units.push_back(
            {as_stack(layer.M[k]), layer.R, w, layer.bias, layer.decay, layer.scale, as_stack(layer.updated[k])});
    }
}

}  // namespace curvblas::CURVBLAS_BACKEND
