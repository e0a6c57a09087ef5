#include "kernels/on_host.h"

namespace curvblas::cpu {

std::vector<double> on_host(const Queue&, const double* numbers, Index count) { return {numbers, numbers + count}; }

}  // namespace curvblas::cpu
