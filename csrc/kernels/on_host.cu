#include "kernels/on_host.h"

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {

std::vector<double> on_host(const Queue& queue, const double* numbers, Index count) {
    std::vector<double> copy(static_cast<std::size_t>(count));
    download(copy.data(), numbers, copy.size() * sizeof(double), queue.stream());
    return copy;
}

}  // namespace curvblas::CURVBLAS_BACKEND
