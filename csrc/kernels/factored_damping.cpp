#include "kernels/factored_damping.h"

namespace curvblas::cpu {
namespace {

template <class T>
double mean_of_diagonal(const Matrix<const T>& C) {
    double trace = 0;
    for (Index i = 0; i < C.rows; ++i) trace += static_cast<double>(C(i, i));
    return trace / static_cast<double>(C.rows);  // NaN for a 0 x 0 matrix, which is then treated as a zero trace
}

}  // namespace

template <class T>
void factored_damping(const Queue& queue, std::span<const FactoredDamping<T>> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        Index size = 0;
        for (int i = 0; i < group[t].count; ++i) size += group[t].factors[i].rows;
        Queue::append_batches(items, t, group[t].factors[0].batch, 50 + 4 * static_cast<double>(size));
    }
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        for (Index b = item.first; b < item.first + item.count; ++b) {
            double means[most_factors];
            for (int i = 0; i < task.count; ++i) means[i] = mean_of_diagonal(task.factors[i][b]);
            split_damping(task, b, means);
        }
    });
}

template void factored_damping(const Queue&, std::span<const FactoredDamping<float>>);
template void factored_damping(const Queue&, std::span<const FactoredDamping<double>>);

}  // namespace curvblas::cpu
