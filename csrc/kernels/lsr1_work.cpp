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
template void for_each_element(const Queue&, std::span<const Lsr1InvertProduct>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Multiply>, double);

void lsr1_form(const Queue& queue, const Lsr1Form& task, double cost) {
    for_each_element(queue, std::span(&task, 1), cost);
}

void lsr1_finish(const Queue& queue, const Lsr1Finish& task, double cost) {
    for_each_element(queue, std::span(&task, 1), cost);
}

}  // namespace curvblas::cpu
