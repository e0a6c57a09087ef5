#include "kernels/update_unit_moments.h"

namespace curvblas::CURVBLAS_BACKEND {

template <class T>
void update_unit_moments(const Queue& queue, std::span<const UpdateUnitMoments<T>> group) {
    std::vector<UpdateFactors<T>> units;
    for (const UpdateUnitMoments<T>& layer : group) append_units(layer, units);
    update_factors<T>(queue, units);
}

template void update_unit_moments(const Queue&, std::span<const UpdateUnitMoments<float>>);
template void update_unit_moments(const Queue&, std::span<const UpdateUnitMoments<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
