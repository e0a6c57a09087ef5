#include "kernels/pairs.h"

#include "cpu/for_each_element.h"

namespace curvblas::cpu {

template void for_each_element(const Queue&, std::span<const PairJoin<float>>, double);
template void for_each_element(const Queue&, std::span<const PairJoin<double>>, double);
template void for_each_element(const Queue&, std::span<const PairJudgeSr1>, double);
template void for_each_element(const Queue&, std::span<const PairJudgeBfgs>, double);
template void for_each_element(const Queue&, std::span<const PairLeaveOldest>, double);
template void for_each_element(const Queue&, std::span<const PairStore<float>>, double);
template void for_each_element(const Queue&, std::span<const PairStore<double>>, double);
template void for_each_element(const Queue&, std::span<const PairSubtract<float>>, double);
template void for_each_element(const Queue&, std::span<const PairSubtract<double>>, double);
template void for_each_element(const Queue&, std::span<const PairClear<float>>, double);
template void for_each_element(const Queue&, std::span<const PairClear<double>>, double);

}  // namespace curvblas::cpu
