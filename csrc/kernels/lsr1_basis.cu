#include "kernels/lsr1_basis.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const Lsr1Psi<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Psi<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Reduce>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Normalise>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Compress>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Project>, double);
template void for_each_element(const Queue&, std::span<const Lsr1ProjectAgain>, double);
template void for_each_element(const Queue&, std::span<const Lsr1SolveInBasis>, double);
template void for_each_element(const Queue&, std::span<const Lsr1CombineInBasis>, double);
template void for_each_element(const Queue&, std::span<const Lsr1ChooseUnit<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1ChooseUnit<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1AddUnit<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1AddUnit<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1MultiplyInBasis>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
