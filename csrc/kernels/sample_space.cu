#include "kernels/sample_space.h"

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

/// A thread for each of 128 elements of one task, from element `first` on.
struct Block {
    int task;
    Index first;
};

template <class Task>
__global__ void __launch_bounds__(threads) work_on_elements(const Task* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const Index k = block.first + threadIdx.x;
    if (k < tasks[block.task].count()) tasks[block.task].work(k);
}

}  // namespace

template <class Task>
void for_each_element(const Queue& queue, std::span<const Task> tasks) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(tasks.size()); ++t)
        for (Index first = 0; first < tasks[static_cast<std::size_t>(t)].count(); first += threads)
            blocks.push_back({t, first});
    if (blocks.empty()) return;
    const auto there = queue.copy_of(tasks);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(work_on_elements<Task>, dim3(grid_for(blocks)), dim3(threads), 0, queue.stream(), there.get(), table.get());
}

std::vector<double> on_host(const Queue& queue, const double* numbers, Index count) {
    std::vector<double> copy(static_cast<std::size_t>(count));
    download(copy.data(), numbers, copy.size() * sizeof(double), queue.stream());
    return copy;
}

template void for_each_element(const Queue&, std::span<const SampleSpaceAdd>);
template void for_each_element(const Queue&, std::span<const SampleSpaceEmbed<float>>);
template void for_each_element(const Queue&, std::span<const SampleSpaceEmbed<double>>);
template void for_each_element(const Queue&, std::span<const SampleSpaceRight<float>>);
template void for_each_element(const Queue&, std::span<const SampleSpaceRight<double>>);
template void for_each_element(const Queue&, std::span<const SampleSpaceJudge>);
template void for_each_element(const Queue&, std::span<const SampleSpaceProject>);
template void for_each_element(const Queue&, std::span<const SampleSpaceExpand>);
template void for_each_element(const Queue&, std::span<const SampleSpaceRefuse>);
template void for_each_element(const Queue&, std::span<const SampleSpaceJoin<float>>);
template void for_each_element(const Queue&, std::span<const SampleSpaceJoin<double>>);
template void for_each_element(const Queue&, std::span<const LayerClear>);
template void for_each_element(const Queue&, std::span<const LayerPairs>);
template void for_each_element(const Queue&, std::span<const LayerCopy<float>>);
template void for_each_element(const Queue&, std::span<const LayerCopy<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
