#include "kernels/low_rank_apply.h"

#include <algorithm>

#include "cpu/long_rows.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

/// Columns that an item writes, and of them those that are written at a time where rows are rotated in place or are not
/// as the kernel wants them.
struct Plan {
    static constexpr Index step = 1024;
    Index length;
    double cost;  // of a matrix

    template <class T>
    explicit Plan(const LowRankApply<T>& task) {
        constexpr double item_cost = 5e5, read = static_cast<double>(sizeof(T)) / 4, flops = 1.0 / 4;
        const double p = static_cast<double>(task.P.rows), m = static_cast<double>(task.R.rows + task.R_2.rows);
        const double of_column = std::max((p + m) * read, p * m * flops);
        cost = 500 + of_column * static_cast<double>(task.R.columns);
        length = std::max<Index>(step, static_cast<Index>(item_cost / std::max(of_column, 1.0)) / step * step);
    }
};

/// Columns [begin, end) of P.
template <class T>
void apply(const Micro& micro, const LowRankApply<T>& task, Index b, Index begin, Index end) {
    if (task.is_wanted && task.is_wanted[b] == 0) return;
    const Index p = task.P.rows, first = task.R.rows, m = first + task.R_2.rows;
    const Matrix<const double> Q = task.Q[b], Q_2 = task.Q_2[b];
    const Matrix<const T> R = task.R[b], G = task.G[b], R_2 = task.R_2[b];
    const Matrix<T> P = task.P[b];
    const bool has_G = G.data != nullptr, direct = P.data != R.data && P.column_stride == 1;
    const Index of_R = R.column_stride == 1 ? 0 : first, of_R_2 = R_2.column_stride == 1 ? 0 : m - first;
    const Index of_G = !has_G || G.column_stride == 1 ? 0 : p;
    const Index step = direct && of_R + of_R_2 + of_G == 0 ? end - begin : Plan::step;
    struct Memory;
    Scratch<Memory> scratch(bytes<double>(p * m) + bytes<T>(of_R * step) + bytes<T>(of_R_2 * step) +
                            bytes<T>(of_G * step) + bytes<T>(direct ? 0 : p * step));
    double* const q = scratch.template take<double>(p * m);
    T *const R_copy = scratch.template take<T>(of_R * step), *const R_2_copy = scratch.template take<T>(of_R_2 * step);
    T* const G_copy = scratch.template take<T>(of_G * step);
    T* const own = scratch.template take<T>(direct ? 0 : p * step);
    for (Index i = 0; i < p; ++i)
        for (Index k = 0; k < m; ++k) q[i * m + k] = k < first ? Q(i, k) : Q_2(i, k - first);
    for (Index j = begin; j < end; j += step) {
        const Index count = std::min(step, end - j);
        const LongRows<T> rows = long_rows(R, j, count, R_copy, step);
        const LongRows<T> others = m > first ? long_rows(R_2, j, count, R_2_copy, step) : LongRows<T>{};
        const LongRows<T> addend = has_G ? long_rows(G, j, count, G_copy, step) : LongRows<T>{};
        micro.row_kernels<T>().combine({p, count, q, m, rows, others, has_G ? task.w + b * p : nullptr, addend.data,
                                        addend.stride, direct ? P.data + j : own, direct ? P.row_stride : step});
        for (Index i = 0; i < p && !direct; ++i)
            for (Index c = 0; c < count; ++c) P(i, j + c) = own[i * step + c];
    }
}

}  // namespace

template <class T>
void low_rank_apply(const Queue& queue, std::span<const LowRankApply<T>> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const LowRankApply<T>& task = group[t];
        if (task.P.rows == 0 || task.R.columns == 0) continue;
        const Plan plan(task);
        const Index pieces = (task.R.columns + plan.length - 1) / plan.length;
        if (pieces == 1) {
            Queue::append_task(items, t, task.P.batch, plan.cost);
            continue;
        }
        // Backwards: R was often read just before (gram), and its end is what the caches still have.
        for (Index b = 0; b < task.P.batch; ++b)
            for (Index piece = pieces - 1; piece >= 0; --piece)
                items.push_back({t, b, 1, piece, plan.cost / static_cast<double>(pieces)});
    }
    queue.run(items, [&](const Item& item) {
        Queue::for_each_matrix(item, [&](Index t, Index b) {
            const LowRankApply<T>& task = group[t];
            const Index length = Plan(task).length, begin = std::max<Index>(item.part, 0) * length;
            apply(queue.micro(), task, b, begin, std::min(begin + length, task.R.columns));
        });
    });
}

template void low_rank_apply(const Queue&, std::span<const LowRankApply<float>>);
template void low_rank_apply(const Queue&, std::span<const LowRankApply<double>>);

}  // namespace curvblas::cpu
