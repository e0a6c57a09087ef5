#include "kernels/low_rank_weights.h"

namespace curvblas::cpu {

template <class T>
void low_rank_weights(const Queue& queue, std::span<const LowRankWeights<T>> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto& P = group[t].P;
        Queue::append_batches(items, t, P.batch, 20 + 60 * static_cast<double>(P.rows * P.columns));
    }
    queue.run(items, [&](const Item& item) {
        const LowRankWeights<T>& task = group[item.task];
        for (Index b = item.first; b < item.first + item.count; ++b)
            for (Index i = 0; i < task.P.rows; ++i) set_weights(task, b, i);
    });
}

template void low_rank_weights(const Queue&, std::span<const LowRankWeights<float>>);
template void low_rank_weights(const Queue&, std::span<const LowRankWeights<double>>);

}  // namespace curvblas::cpu
