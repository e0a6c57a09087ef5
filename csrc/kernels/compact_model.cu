#include "kernels/compact_model.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const CompactClear>, double);
template void for_each_element(const Queue&, std::span<const CompactModel<float>>, double);
template void for_each_element(const Queue&, std::span<const CompactModel<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
