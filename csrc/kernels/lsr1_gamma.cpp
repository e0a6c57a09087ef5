#include "kernels/lsr1_gamma.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

template void for_each_element(const Queue&, std::span<const Lsr1Curvature>, double);
template void for_each_element(const Queue&, std::span<const Lsr1CurvatureAgain>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Gamma>, double);

}  // namespace curvblas::cpu
