#include "kernels/kalman.h"

#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template void for_each_element(const Queue&, std::span<const KalmanStart<float>>, double);
template void for_each_element(const Queue&, std::span<const KalmanStart<double>>, double);
template void for_each_element(const Queue&, std::span<const KalmanWiden<float>>, double);
template void for_each_element(const Queue&, std::span<const KalmanSystem<float>>, double);
template void for_each_element(const Queue&, std::span<const KalmanSystem<double>>, double);
template void for_each_element(const Queue&, std::span<const KalmanJudge<float>>, double);
template void for_each_element(const Queue&, std::span<const KalmanJudge<double>>, double);
template void for_each_element(const Queue&, std::span<const KalmanGain<float>>, double);
template void for_each_element(const Queue&, std::span<const KalmanGain<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
