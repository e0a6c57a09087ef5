#include "kernels/kalman.h"

#include <algorithm>

namespace curvblas::cpu {

template <class Task>
void for_each_entry(const Queue& queue, std::span<const Task> tasks) {
    constexpr Index length = 1 << 14;
    constexpr double cost = 10;  // of an entry: a nanosecond
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
            for (Index k = first; k < std::min(first + length, tasks[t].count()); ++k) tasks[t].work(k);
        });
    });
}

template void for_each_entry(const Queue&, std::span<const KalmanStart<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanStart<double>>);
template void for_each_entry(const Queue&, std::span<const KalmanWiden<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanSystem<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanSystem<double>>);
template void for_each_entry(const Queue&, std::span<const KalmanJudge>);
template void for_each_entry(const Queue&, std::span<const KalmanGain<float>>);
template void for_each_entry(const Queue&, std::span<const KalmanGain<double>>);

}  // namespace curvblas::cpu
