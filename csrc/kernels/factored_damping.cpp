#include "kernels/factored_damping.h"

#include <cmath>
#include <limits>

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
        const Index size = group[t].A.rows + group[t].G.rows;
        Queue::append_batches(items, t, group[t].A.batch, 10 + 4 * static_cast<double>(size));
    }
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        for (Index b = item.first; b < item.first + item.count; ++b) {
            const double A_mean = mean_of_diagonal(task.A[b]), G_mean = mean_of_diagonal(task.G[b]);
            const bool usable = A_mean > 0 && G_mean > 0 && std::isfinite(A_mean) && std::isfinite(G_mean);
            const double pi = usable ? std::sqrt(A_mean / G_mean) : 1.0;
            const bool valid = task.damping[b] >= 0 && std::isfinite(task.damping[b]);
            const double root = valid ? std::sqrt(task.damping[b]) : std::numeric_limits<double>::quiet_NaN();
            task.damping_A[b] = pi * root;
            task.damping_G[b] = root / pi;
        }
    });
}

template void factored_damping(const Queue&, std::span<const FactoredDamping<float>>);
template void factored_damping(const Queue&, std::span<const FactoredDamping<double>>);

}  // namespace curvblas::cpu
