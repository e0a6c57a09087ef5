#include "cuda/gather.h"

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

__global__ void gather_kernel(const void* from, DType dtype, Layout layout, Index count, double* to) {
    const Index b = static_cast<Index>(blockIdx.x) * threads + threadIdx.x;
    if (b >= count) return;
    Index at = 0, rest = b;
    for (int k = layout.ndim - 1; k >= 0; --k) {
        at += rest % layout.shape[k] * layout.strides[k];
        rest /= layout.shape[k];
    }
    to[b] = dtype == DType::float64 ? static_cast<const double*>(from)[at] : static_cast<const float*>(from)[at];
}

}  // namespace

void gather(const Queue& queue, const void* from, DType dtype, const Layout& layout, Index count, double* to) {
    const dim3 grid(static_cast<unsigned>((count + threads - 1) / threads));
    launch(gather_kernel, grid, dim3(threads), 0, queue.stream(), from, dtype, layout, count, to);
}

}  // namespace curvblas::CURVBLAS_BACKEND
