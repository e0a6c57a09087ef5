#include "kernels/lsr1_gamma.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const Lsr1Curvature>, double);
template void for_each_element(const Queue&, std::span<const Lsr1CurvatureAgain>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Gamma>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
