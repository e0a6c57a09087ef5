#include "kernels/lsr1_basis.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

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

}  // namespace curvblas::cpu
