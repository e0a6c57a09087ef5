// See kernels/for_each_element.h.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/element_ranges.h"
#include "cpu/queue.h"

namespace curvblas::cpu {

template <class Task>
void for_each_element(const Queue& queue, std::span<const Task> tasks, double cost) {
    constexpr Index length = 1 << 14;
    const ElementRange<Task> compiled = CompiledElements<Task>::of(queue.micro());
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(tasks.size()); ++t) {
        const Index count = tasks[t].count();
        if (count <= length) {
            Queue::append_task(items, t, 1, 50 + cost * static_cast<double>(count));
            continue;
        }
        for (Index first = 0; first < count; first += length)
            items.push_back({t, first, 1, 0, cost * static_cast<double>(std::min(length, count - first))});
    }
    queue.run(items, [&](const Item& item) {
        Queue::for_each_matrix(item, [&](Index t, Index first) {
            compiled.work(tasks[t], first, std::min(first + length, tasks[t].count()));
        });
    });
}

}  // namespace curvblas::cpu
