#include "kernels/tonga.h"

#include <algorithm>

namespace curvblas::cpu {

template <class Task>
void for_each_block(const Queue& queue, Index blocks, const Task& task) {
    std::vector<Item> items;
    Queue::append_batches(items, 0, blocks, 2000);  // some thirty rows of thirty numbers
    queue.run(items, [&](const Item& item) {
        for (Index b = item.first; b < item.first + item.count; ++b) task.work(b);
    });
}

template <class T>
void tonga_rows(const Queue& queue, std::span<const TongaRows<T>> group) {
    constexpr Index length = 1 << 16;
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Matrix<T>& X = group[t].X;
        if (X.rows * X.columns <= length) {
            Queue::append_task(items, t, 1, 50 + 2 * static_cast<double>(X.rows * X.columns));
            continue;
        }
        for (Index i = 0; i < X.rows; ++i)
            for (Index j = 0; j < X.columns; j += length)
                items.push_back({t, i, 1, j, 50 + 2 * static_cast<double>(std::min(length, X.columns - j))});
    }
    const auto scale_row = [&](const TongaRows<T>& task, Index i, Index begin, Index end) {
        const double factor = task.factor(i);
        for (Index j = begin; j < end; ++j) task.work(i, j, factor);
    };
    queue.run(items, [&](const Item& item) {
        if (item.part != Queue::whole_tasks) {
            const TongaRows<T>& task = group[item.task];
            return scale_row(task, item.first, item.part, std::min(item.part + length, task.X.columns));
        }
        for (Index t = item.task; t < item.task + item.count; ++t)
            for (Index i = 0; i < group[t].X.rows; ++i) scale_row(group[t], i, 0, group[t].X.columns);
    });
}

template void for_each_block(const Queue&, Index, const TongaBegin&);
template void for_each_block(const Queue&, Index, const TongaAppend&);
template void for_each_block(const Queue&, Index, const TongaWeights&);
template void for_each_block(const Queue&, Index, const TongaMeanWeights&);
template void for_each_block(const Queue&, Index, const TongaSystem&);
template void for_each_block(const Queue&, Index, const TongaTruncation&);
template void tonga_rows(const Queue&, std::span<const TongaRows<float>>);
template void tonga_rows(const Queue&, std::span<const TongaRows<double>>);

}  // namespace curvblas::cpu
