#include "kernels/pairs.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

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

}  // namespace curvblas::CURVBLAS_BACKEND
