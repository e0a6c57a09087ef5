#include "kernels/lsr1_basis.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

template void for_each_element(const Queue&, std::span<const Lsr1Psi<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Psi<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Orthogonalise>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Reorthogonalise>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Project>, double);
template void for_each_element(const Queue&, std::span<const Lsr1SolveInBasis>, double);
template void for_each_element(const Queue&, std::span<const Lsr1ChooseUnit<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1ChooseUnit<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1AddUnit<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1AddUnit<double>>, double);

}  // namespace curvblas::cpu
