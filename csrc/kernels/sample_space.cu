#include "kernels/sample_space.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const SampleSpaceAdd>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceEmbed<float>>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceEmbed<double>>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceRight<float>>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceRight<double>>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceJudge>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceProject>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceExpand>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceRefuse>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceFit>, double);
template void for_each_element(const Queue&, std::span<const LayerVerify<float>>, double);
template void for_each_element(const Queue&, std::span<const LayerVerify<double>>, double);
template void for_each_element(const Queue&, std::span<const LayerRefuse>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceJoin<float>>, double);
template void for_each_element(const Queue&, std::span<const SampleSpaceJoin<double>>, double);
template void for_each_element(const Queue&, std::span<const LayerClear>, double);
template void for_each_element(const Queue&, std::span<const LayerPairs>, double);
template void for_each_element(const Queue&, std::span<const LayerCopy<float>>, double);
template void for_each_element(const Queue&, std::span<const LayerCopy<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
