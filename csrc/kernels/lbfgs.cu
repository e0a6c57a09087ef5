#include "kernels/lbfgs.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const LbfgsCombine<float>>, double);
template void for_each_element(const Queue&, std::span<const LbfgsCombine<double>>, double);
template void for_each_element(const Queue&, std::span<const LbfgsDamp>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
