#include "kernels/solve_quasi_diagonal.h"

#include <vector>

namespace curvblas::cpu {
namespace {

template <class T>
Status solve(const QuasiDiagonalUnit<T>& unit) {
    Status status = unit.status();
    double shift = 0;
    for (Index i = 0; i < unit.inputs(); ++i) status = unit.worse(status, unit.solve(i, shift));
    status = unit.worse(status, unit.solve_bias(shift));
    if (status == Status::ok) return status;
    for (Index i = 0; i <= unit.inputs(); ++i) unit.fail(i);
    return status;
}

}  // namespace

template <class T>
void solve_quasi_diagonal(const Queue& queue, std::span<const SolveQuasiDiagonal<T>> group) {
    constexpr double flops_per_input = 12;
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const double cost = 20 + flops_per_input * static_cast<double>(group[t].g.columns);
        Queue::append_batches(items, t, group[t].g.batch * group[t].g.rows, cost);
    }
    queue.run(items, [&](const Item& item) {
        const SolveQuasiDiagonal<T>& task = group[item.task];
        const Index units = task.g.rows;
        for (Index k = item.first; k < item.first + item.count; ++k)
            task.status[k] = solve(QuasiDiagonalUnit<T>(task, k / units, k % units));
    });
}

template void solve_quasi_diagonal(const Queue&, std::span<const SolveQuasiDiagonal<float>>);
template void solve_quasi_diagonal(const Queue&, std::span<const SolveQuasiDiagonal<double>>);

}  // namespace curvblas::cpu
