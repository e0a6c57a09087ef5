#include "kernels/lsr1_memory.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const Lsr1Clear<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Clear<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Store<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Store<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Judge>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Mirror>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
