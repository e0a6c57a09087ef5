// See kernels/for_each_element.h.
#pragma once

#include <vector>

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int element_threads = 128;

/// A thread for each of 128 elements of one task, from element `first` on.
struct Elements {
    int task;
    Index first;
};

template <class Task>
__global__ void __launch_bounds__(element_threads) work_on_elements(const Task* tasks, const Elements* blocks) {
    const Elements block = blocks[blockIdx.x];
    const Index k = block.first + threadIdx.x;
    if (k < tasks[block.task].count()) tasks[block.task].work(k);
}

}  // namespace

template <class Task>
void for_each_element(const Queue& queue, std::span<const Task> tasks, double) {
    std::vector<Elements> blocks;
    for (int t = 0; t < static_cast<int>(tasks.size()); ++t)
        for (Index first = 0; first < tasks[t].count(); first += element_threads) blocks.push_back({t, first});
    if (blocks.empty()) return;
    const auto there = queue.copy_of(tasks);
    const auto table = queue.copy_of(std::span<const Elements>(blocks));
    launch(work_on_elements<Task>, dim3(grid_for(blocks)), dim3(element_threads), 0, queue.stream(), there.get(),
           table.get());
}

}  // namespace curvblas::CURVBLAS_BACKEND
