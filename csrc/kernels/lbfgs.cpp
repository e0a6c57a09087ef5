#include "kernels/lbfgs.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

template void for_each_element(const Queue&, std::span<const LbfgsCombine<float>>, double);
template void for_each_element(const Queue&, std::span<const LbfgsCombine<double>>, double);
template void for_each_element(const Queue&, std::span<const LbfgsDamp>, double);

}  // namespace curvblas::cpu
