#include "kernels/lsr1_memory.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

template void for_each_element(const Queue&, std::span<const Lsr1Clear<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Clear<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Store<float>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Store<double>>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Judge>, double);
template void for_each_element(const Queue&, std::span<const Lsr1Mirror>, double);

}  // namespace curvblas::cpu
