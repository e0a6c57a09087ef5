#include "kernels/solve_quasi_diagonal.h"

#include <vector>

#include "cpu/long_rows.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

/// Row k as it lies, or a copy of its neighbouring elements.
template <class T>
const T* as_neighbours(const Matrix<const T>& A, Index k, Index count, T* copy) {
    return long_rows(Matrix<const T>{A.row(k), 1, count, A.row_stride, A.column_stride}, 0, count, copy, count).data;
}

/// `room` is for four rows.
template <class T>
Status solve(const Micro& micro, const SolveQuasiDiagonal<T>& task, Index b, Index k, T* room) {
    const QuasiDiagonalUnit<T> unit(task, b, k);
    const Index inputs = unit.inputs();
    const Matrix<T> W = task.w[b];
    T* const w = W.column_stride == 1 ? W.row(k) : room + 3 * inputs;
    double shift;
    const Status of_inputs = micro.quasi_diagonal<T>().solve(
        {inputs, as_neighbours(task.first[b], k, inputs, room), as_neighbours(task.second[b], k, inputs, room + inputs),
         as_neighbours(task.g[b], k, inputs, room + 2 * inputs), task.damping[b], task.floor, unit.M_00(), unit.g_0(),
         w},
        &shift);
    for (Index i = 0; i < inputs && W.column_stride != 1; ++i) W(k, i) = w[i];
    const Status status = unit.worse(unit.worse(unit.status(), of_inputs), unit.solve_bias(shift));
    for (Index i = 0; i <= inputs && status != Status::ok; ++i) unit.fail(i);
    return status;
}

}  // namespace

template <class T>
void solve_quasi_diagonal(const Queue& queue, std::span<const SolveQuasiDiagonal<T>> group) {
    constexpr double cost_of_input = 6;
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const double cost = 50 + cost_of_input * static_cast<double>(group[t].g.columns);
        Queue::append_batches(items, t, group[t].g.batch * group[t].g.rows, cost);
    }
    queue.run(items, [&](const Item& item) {
        struct Memory;
        const SolveQuasiDiagonal<T>& task = group[item.task];
        const Index units = task.g.rows;
        Scratch<Memory> scratch(bytes<T>(4 * task.g.columns));
        T* const room = scratch.template take<T>(4 * task.g.columns);
        for (Index k = item.first; k < item.first + item.count; ++k)
            task.status[k] = solve(queue.micro(), task, k / units, k % units, room);
    });
}

template void solve_quasi_diagonal(const Queue&, std::span<const SolveQuasiDiagonal<float>>);
template void solve_quasi_diagonal(const Queue&, std::span<const SolveQuasiDiagonal<double>>);

}  // namespace curvblas::cpu
