#include "kernels/lsr1_work.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

template void for_each_element(const Queue&, std::span<const Lsr1Begin<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Begin<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Curvature>, double);
template void for_each_element(const Queue&, std::span<const Lsr1CurvatureAgain>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Gamma>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Factor>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Invert>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Model>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Solve>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Combine>, double);
template void for_each_element(const Queue&, std::span<const Lsr1InvertProduct>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Multiply>, double);

}  // namespace curvblas::cpu
