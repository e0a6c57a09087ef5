#include "kernels/sample_space.h"

#include <algorithm>

namespace curvblas::cpu {

template <class Task>
void for_each_element(const Queue& queue, std::span<const Task> tasks) {
    constexpr Index length = 1 << 14;
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(tasks.size()); ++t) {
        const Index count = tasks[static_cast<std::size_t>(t)].count();
        if (count <= length) {
            Queue::append_task(items, t, 1, 50 + 10 * static_cast<double>(count));
            continue;
        }
        for (Index first = 0; first < count; first += length)
            items.push_back({t, first, 1, 0, 10 * static_cast<double>(std::min(length, count - first))});
    }
    queue.run(items, [&](const Item& item) {
        Queue::for_each_matrix(item, [&](Index t, Index first) {
            const Task& task = tasks[static_cast<std::size_t>(t)];
            for (Index k = first; k < std::min(first + length, task.count()); ++k) task.work(k);
        });
    });
}

std::vector<double> on_host(const Queue&, const double* numbers, Index count) { return {numbers, numbers + count}; }

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

}  // namespace curvblas::cpu
