#include "kernels/all_finite.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 256;
constexpr Index elements_per_block = 16 * threads;

/// Rows [first, first + count) of a task.
struct Block {
    int task;
    Index first, count;
};

template <class Bits>
__device__ bool is_finite(const void* x, Index j, Bits exponent) {
    return (static_cast<const Bits*>(x)[j] & exponent) != exponent;
}

__device__ bool is_finite(DType dtype, const void* x, Index j) {
    switch (dtype) {
        case DType::float64:
            return is_finite<std::uint64_t>(x, j, 0x7ff0000000000000u);
        case DType::float32:
            return is_finite<std::uint32_t>(x, j, 0x7f800000u);
        case DType::float16:
            return is_finite<std::uint16_t>(x, j, 0x7c00u);
        case DType::bfloat16:
            return is_finite<std::uint16_t>(x, j, 0x7f80u);
    }
    return false;
}

__global__ void find_not_finite(const Rows* tasks, const Block* blocks, unsigned* found) {
    const Block block = blocks[blockIdx.x];
    const Rows rows = tasks[block.task];
    bool finite = true;
    for (Index e = threadIdx.x; e < block.count * rows.d; e += threads)
        finite = finite && is_finite(rows.dtype, rows.row(0, block.first + e / rows.d), e % rows.d * rows.d_stride);
    if (__ballot_sync(whole_warp, !finite) && threadIdx.x % warp_size == 0) atomicOr(found, 1u);
}

}  // namespace

bool all_finite(const Queue& queue, std::span<const Rows> group) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const Index rows = group[t].count(), step = max(elements_per_block / max(group[t].d, Index{1}), Index{1});
        for (Index first = 0; first < rows; first += step) blocks.push_back({t, first, min(step, rows - first)});
    }
    if (blocks.empty()) return true;
    const unsigned nothing = 0;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    const auto found = queue.copy_of(std::span<const unsigned>(&nothing, 1));
    launch(find_not_finite, dim3(grid_for(blocks)), dim3(threads), 0, queue.stream(), tasks.get(), table.get(),
           found.get());
    unsigned answer = 0;
    download(&answer, found.get(), sizeof answer, queue.stream());
    return answer == 0;
}

}  // namespace curvblas::CURVBLAS_BACKEND
