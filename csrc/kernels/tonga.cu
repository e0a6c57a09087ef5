#include "kernels/tonga.h"

#include <vector>

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int block_threads = 64, row_threads = 128;

template <class Task>
__global__ void __launch_bounds__(block_threads) work_on_blocks(Task task, Index blocks) {
    const Index b = Index{blockIdx.x} * block_threads + threadIdx.x;
    if (b < blocks) task.work(b);
}

/// A thread for each of 128 columns, from column `first` on, of one row.
struct Block {
    int task, i;
    Index first;
};

template <class T>
__global__ void __launch_bounds__(row_threads) scale_rows(const TongaRows<T>* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const TongaRows<T>& task = tasks[block.task];
    const Index j = block.first + threadIdx.x;
    if (j < task.X.columns) task.work(block.i, j, task.factor(block.i));
}

}  // namespace

template <class Task>
void for_each_block(const Queue& queue, Index blocks, const Task& task) {
    if (blocks == 0) return;
    const auto grid = static_cast<unsigned>(counted((blocks + block_threads - 1) / block_threads));
    launch(work_on_blocks<Task>, dim3(grid), dim3(block_threads), 0, queue.stream(), task, blocks);
}

template <class T>
void tonga_rows(const Queue& queue, std::span<const TongaRows<T>> group) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int i = 0; i < static_cast<int>(group[t].X.rows); ++i)
            for (Index first = 0; first < group[t].X.columns; first += row_threads) blocks.push_back({t, i, first});
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(scale_rows<T>, dim3(grid_for(blocks)), dim3(row_threads), 0, queue.stream(), tasks.get(), table.get());
}

template void for_each_block(const Queue&, Index, const TongaBegin&);
template void for_each_block(const Queue&, Index, const TongaAppend&);
template void for_each_block(const Queue&, Index, const TongaWeights&);
template void for_each_block(const Queue&, Index, const TongaMeanWeights&);
template void for_each_block(const Queue&, Index, const TongaSystem&);
template void for_each_block(const Queue&, Index, const TongaTruncation&);
template void tonga_rows(const Queue&, std::span<const TongaRows<float>>);
template void tonga_rows(const Queue&, std::span<const TongaRows<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
