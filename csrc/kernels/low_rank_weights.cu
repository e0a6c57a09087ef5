#include "kernels/low_rank_weights.h"

#include <vector>

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

/// A thread for each row of one matrix, from row `first` on.
struct Block {
    int task, b;
    Index first;
};

template <class T>
__global__ void __launch_bounds__(threads) weigh(const LowRankWeights<T>* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const Index i = block.first + threadIdx.x;
    if (i < tasks[block.task].P.rows) set_weights(tasks[block.task], block.b, i);
}

}  // namespace

template <class T>
void low_rank_weights(const Queue& queue, std::span<const LowRankWeights<T>> group) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].P.batch); ++b)
            for (Index first = 0; first < group[t].P.rows; first += threads) blocks.push_back({t, b, first});
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(weigh<T>, dim3(grid_for(blocks)), dim3(threads), 0, queue.stream(), tasks.get(), table.get());
}

template void low_rank_weights(const Queue&, std::span<const LowRankWeights<float>>);
template void low_rank_weights(const Queue&, std::span<const LowRankWeights<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
