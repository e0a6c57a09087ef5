#include "algorithms/update_unit_moments.h"

#include <vector>

#include "kernels/update_factors.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// The weights of one unit: a column of W.
Rows weights_of(Rows W, Index unit) {
    W.data = static_cast<const std::byte*>(W.data) + unit * W.d_stride * item_size(W.dtype);
    W.d = W.d_stride = 1;
    return W;
}

}  // namespace

template <class T>
void update_unit_moments(const Queue& queue, std::span<const UpdateUnitMoments<T>> group) {
    std::vector<UpdateFactors<T>> units;
    for (const UpdateUnitMoments<T>& layer : group)
        for (Index k = 0; k < layer.M.batch; ++k)
            units.push_back({as_stack(layer.M[k]), layer.R, weights_of(layer.W, k), layer.bias, layer.decay,
                             layer.scale, as_stack(layer.updated[k])});
    update_factors<T>(queue, units);
}

template void update_unit_moments(const Queue&, std::span<const UpdateUnitMoments<float>>);
template void update_unit_moments(const Queue&, std::span<const UpdateUnitMoments<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
