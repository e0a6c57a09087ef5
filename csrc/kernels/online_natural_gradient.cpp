#include "kernels/online_natural_gradient.h"

#include <algorithm>

#include "cpu/for_each_element.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

/// An item a chunk of rows of Y or X, whose first row is the item's.
template <class Task>
std::vector<Item> chunks_of(std::span<const Task> group, Matrix<typename Task::Element> Task::* rows) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto& A = group[t].*rows;
        const Index step = ong_chunk(A.columns);
        for (Index first = 0; first < A.rows; first += step) {
            const Index count = std::min(step, A.rows - first);
            items.push_back({t, first, count, 0, static_cast<double>(count * A.columns)});
        }
    }
    return items;
}

}  // namespace

template <class T>
void ong_subtract(const Queue& queue, std::span<const OngSubtract<T>> group) {
    std::vector<Item> items = chunks_of(group, &OngSubtract<T>::Y);
    queue.run(items, [&](const Item& item) {
        const auto& [X, Y, sums] = group[item.task];
        struct Memory;
        Scratch<Memory> scratch(bytes<T>(X.column_stride == 1 ? 0 : X.columns));
        T* const copy = scratch.template take<T>(X.column_stride == 1 ? 0 : X.columns);
        double* const own = sums + item.first / ong_chunk(X.columns) * 2;
        own[0] = own[1] = 0;
        for (Index i = item.first; i < item.first + item.count; ++i) {
            const T* row = X.row(i);
            if (X.column_stride != 1) {
                for (Index j = 0; j < X.columns; ++j) copy[j] = X(i, j);
                row = copy;
            }
            queue.micro().template row_kernels<T>().subtract(row, Y.row(i), X.columns, own);
        }
    });
}

template <class T>
void ong_scale(const Queue& queue, std::span<const OngScale<T>> group) {
    std::vector<Item> items = chunks_of(group, &OngScale<T>::X);
    queue.run(items, [&](const Item& item) {
        const auto& [X, factor] = group[item.task];
        for (Index i = item.first; i < item.first + item.count; ++i)
            queue.micro().template row_kernels<T>().scale(*factor, X.row(i), X.columns);
    });
}

template void for_each_element(const Queue&, std::span<const OngStart<float>>, double);
template void for_each_element(const Queue&, std::span<const OngStart<double>>, double);
template void for_each_element(const Queue&, std::span<const OngJudge>, double);
template void for_each_element(const Queue&, std::span<const OngForm>, double);
template void for_each_element(const Queue&, std::span<const OngUpdate>, double);
template void for_each_element(const Queue&, std::span<const OngOrthogonalise<float>>, double);
template void for_each_element(const Queue&, std::span<const OngOrthogonalise<double>>, double);
template void ong_subtract(const Queue&, std::span<const OngSubtract<float>>);
template void ong_subtract(const Queue&, std::span<const OngSubtract<double>>);
template void ong_scale(const Queue&, std::span<const OngScale<float>>);
template void ong_scale(const Queue&, std::span<const OngScale<double>>);

}  // namespace curvblas::cpu
