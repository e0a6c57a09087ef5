#include "kernels/lsr1_step.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const Lsr1Begin<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Begin<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Factor>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Model>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Invert>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Solve>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Combine>, double);
template void for_each_element(const Queue&, std::span<const Lsr1InvertProduct>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Multiply>, double);

void lsr1_form(const Queue& queue, const Lsr1Form& task, double cost) {
    for_each_element(queue, std::span(&task.factor, 1), cost);
    for_each_element(queue, std::span(&task.invert, 1), cost);
    for_each_element(queue, std::span(&task.model, 1), cost);
}

void lsr1_finish(const Queue& queue, const Lsr1Finish& task, double cost) {
    for_each_element(queue, std::span(&task.solve, 1), cost);
    for_each_element(queue, std::span(&task.combine, 1), cost);
}

}  // namespace curvblas::CURVBLAS_BACKEND
