#include "kernels/simple_natural_gradient.h"

#include <algorithm>

namespace curvblas::cpu {
namespace {

/// Calls work(task, row) for the rows of a matrix of each task.
template <class Task, class Matrix, class Work>
void for_each_row(const Queue& queue, std::span<const Task> group, Matrix Task::* rows, const Work& work) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto& A = group[t].*rows;
        Queue::append_batches(items, t, A.rows, 20 + 10 * static_cast<double>(A.columns));
    }
    queue.run(items, [&](const Item& item) {
        for (Index i = item.first; i < item.first + item.count; ++i) work(group[item.task], i);
    });
}

}  // namespace

void simple_shift(const Queue&, std::span<const SimpleShift> group) {
    for (const SimpleShift& task : group) task.work();
}

template <class T>
void simple_round(const Queue& queue, std::span<const SimpleRound<T>> group) {
    for_each_row(queue, group, &SimpleRound<T>::B, [](const SimpleRound<T>& task, Index i) {
        for (Index j = 0; j < task.B.columns; ++j) task.B(i, j) = static_cast<T>(*task.factor * task.A(i, j));
    });
}

template <class T>
void simple_rows(const Queue& queue, std::span<const SimpleRows<T>> group) {
    for_each_row(queue, group, &SimpleRows<T>::P, [](const SimpleRows<T>& task, Index n) {
        double xx = 0, xp = 0, pp = 0;
        for (Index j = 0; j < task.X.columns; ++j) {
            const double x = static_cast<double>(task.X(n, j)), p = static_cast<double>(task.P(n, j));
            xx += x * x, xp += x * p, pp += p * p;
        }
        const double factor = task.factor(n, xx, xp, pp);
        for (Index j = 0; j < task.P.columns; ++j)
            task.P(n, j) = static_cast<T>(factor * static_cast<double>(task.P(n, j)));
    });
}

template <class T>
void simple_gain(const Queue& queue, std::span<const SimpleGain<T>> group) {
    std::vector<double> factors;
    for (const SimpleGain<T>& task : group) factors.push_back(task.factor());
    for_each_row(queue, group, &SimpleGain<T>::P, [&](const SimpleGain<T>& task, Index n) {
        const double factor = factors[static_cast<std::size_t>(&task - group.data())];
        for (Index j = 0; j < task.P.columns; ++j)
            task.P(n, j) = static_cast<T>(factor * static_cast<double>(task.P(n, j)));
    });
}

template void simple_round(const Queue&, std::span<const SimpleRound<float>>);
template void simple_round(const Queue&, std::span<const SimpleRound<double>>);
template void simple_rows(const Queue&, std::span<const SimpleRows<float>>);
template void simple_rows(const Queue&, std::span<const SimpleRows<double>>);
template void simple_gain(const Queue&, std::span<const SimpleGain<float>>);
template void simple_gain(const Queue&, std::span<const SimpleGain<double>>);

}  // namespace curvblas::cpu
