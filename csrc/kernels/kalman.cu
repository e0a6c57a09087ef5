#include "kernels/kalman.h"

#include <vector>

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

/// A thread for each of 128 entries of one task, from entry `first` on.
struct Block {
    int task;
    Index first;
};

template <class Task>
__global__ void __launch_bounds__(threads) work_on_entries(const Task* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const Index k = block.first + threadIdx.x;
    if (k < tasks[block.task].count()) tasks[block.task].work(k);
}

}  // namespace

template <class Task>
void for_each_entry(const Queue& queue, std::span<const Task> tasks) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(tasks.size()); ++t)
        for (Index first = 0; first < tasks[t].count(); first += threads) blocks.push_back({t, first});
    if (blocks.empty()) return;
    const auto there = queue.copy_of(tasks);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(work_on_entries<Task>, dim3(grid_for(blocks)), dim3(threads), 0, queue.stream(), there.get(), table.get());
}

template void for_each_entry(const Queue&, std::span<const KalmanStart<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanStart<double>>);
template void for_each_entry(const Queue&, std::span<const KalmanWiden<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanSystem<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanSystem<double>>);
template void for_each_entry(const Queue&, std::span<const KalmanJudge>);
template void for_each_entry(const Queue&, std::span<const KalmanGain<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanGain<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
