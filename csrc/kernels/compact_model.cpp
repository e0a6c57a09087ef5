#include "kernels/compact_model.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

template void for_each_element(const Queue&, std::span<const CompactClear>, double);
template void for_each_element(const Queue&, std::span<const CompactModel<float>>, double);
template void for_each_element(const Queue&, std::span<const CompactModel<double>>, double);

}  // namespace curvblas::cpu
