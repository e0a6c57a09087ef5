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
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t)
        for (Index i = 0; i < group[t].X.rows; ++i)
            for (Index j = 0; j < group[t].X.columns; j += length)
                items.push_back({t, i, 1, j, 50 + static_cast<double>(std::min(length, group[t].X.columns - j))});
    queue.run(items, [&](const Item& item) {
        const auto& [scale, count, is_finite, g, X] = group[item.task];
        const Index i = item.first, begin = item.part, end = std::min(begin + length, X.columns);
        const double own = is_finite[i] > 0 ? scale(count + i + 1) : 0;
        if (own == 0)
            for (Index j = begin; j < end; ++j) X(i, j) = T(0);
        else
            for (Index j = begin; j < end; ++j) X(i, j) = static_cast<T>(own * static_cast<double>(g(i, j)));
    });
}

template void for_each_block(const Queue&, Index, const TongaBegin&);
template void for_each_block(const Queue&, Index, const TongaAppend&);
template void for_each_block(const Queue&, Index, const TongaWeights&);
template void for_each_block(const Queue&, Index, const TongaShift&);
template void for_each_block(const Queue&, Index, const TongaTruncation&);
template void tonga_rows(const Queue&, std::span<const TongaRows<float>>);
template void tonga_rows(const Queue&, std::span<const TongaRows<double>>);

}  // namespace curvblas::cpu
