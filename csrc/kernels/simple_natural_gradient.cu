#include "kernels/simple_natural_gradient.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

/// One row of one task.
struct Row {
    int task;
    Index i;
};

template <class Task, class Matrix>
std::vector<Row> rows_of(std::span<const Task> group, Matrix Task::* rows) {
    std::vector<Row> result;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (Index i = 0; i < (group[static_cast<std::size_t>(t)].*rows).rows; ++i) result.push_back({t, i});
    return result;
}

__global__ void __launch_bounds__(threads) find_shifts(const SimpleShift* tasks, int count) {
    const int t = static_cast<int>(blockIdx.x * threads + threadIdx.x);
    if (t < count) tasks[t].work();
}

template <class T>
__global__ void __launch_bounds__(threads) round_row(const SimpleRound<T>* tasks, const Row* rows) {
    const Row row = rows[blockIdx.x];
    const SimpleRound<T>& task = tasks[row.task];
    for (Index j = threadIdx.x; j < task.B.columns; j += threads)
        task.B(row.i, j) = static_cast<T>(*task.factor * task.A(row.i, j));
}

template <class T>
__global__ void __launch_bounds__(threads) leave_one_out(const SimpleRows<T>* tasks, const Row* rows) {
    const Row row = rows[blockIdx.x];
    const SimpleRows<T>& task = tasks[row.task];
    double xx = 0, xp = 0, pp = 0;
    for (Index j = threadIdx.x; j < task.X.columns; j += threads) {
        const double x = static_cast<double>(task.X(row.i, j)), p = static_cast<double>(task.P(row.i, j));
        xx = fma(x, x, xx), xp = fma(x, p, xp), pp = fma(p, p, pp);
    }
    double* const shared = dynamic_shared<double>();
    xx = block_sum(xx, shared), xp = block_sum(xp, shared), pp = block_sum(pp, shared);
    if (threadIdx.x == 0) shared[0] = task.factor(row.i, xx, xp, pp);
    __syncthreads();
    const double factor = shared[0];
    for (Index j = threadIdx.x; j < task.P.columns; j += threads)
        task.P(row.i, j) = static_cast<T>(factor * static_cast<double>(task.P(row.i, j)));
}

template <class T>
__global__ void __launch_bounds__(threads) restore_norm(const SimpleGain<T>* tasks, const Row* rows) {
    const Row row = rows[blockIdx.x];
    const SimpleGain<T>& task = tasks[row.task];
    const double factor = task.factor();
    for (Index j = threadIdx.x; j < task.P.columns; j += threads)
        task.P(row.i, j) = static_cast<T>(factor * static_cast<double>(task.P(row.i, j)));
}

template <class Task, class Kernel>
void launch_rows(const Queue& queue, Kernel kernel, std::span<const Task> group, const std::vector<Row>& rows,
                 std::size_t shared) {
    if (rows.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Row>(rows));
    launch(kernel, dim3(grid_for(rows)), dim3(threads), shared, queue.stream(), tasks.get(), table.get());
}

}  // namespace

void simple_shift(const Queue& queue, std::span<const SimpleShift> group) {
    if (group.empty()) return;
    const int count = counted(static_cast<Index>(group.size()));
    const auto tasks = queue.copy_of(group);
    const auto grid = static_cast<unsigned>((count + threads - 1) / threads);
    launch(find_shifts, dim3(grid), dim3(threads), 0, queue.stream(), tasks.get(), count);
}

template <class T>
void simple_round(const Queue& queue, std::span<const SimpleRound<T>> group) {
    launch_rows(queue, round_row<T>, group, rows_of(group, &SimpleRound<T>::B), 0);
}

template <class T>
void simple_rows(const Queue& queue, std::span<const SimpleRows<T>> group) {
    launch_rows(queue, leave_one_out<T>, group, rows_of(group, &SimpleRows<T>::P), most_warps * sizeof(double));
}

template <class T>
void simple_gain(const Queue& queue, std::span<const SimpleGain<T>> group) {
    launch_rows(queue, restore_norm<T>, group, rows_of(group, &SimpleGain<T>::P), 0);
}

template void simple_round(const Queue&, std::span<const SimpleRound<float>>);
template void simple_round(const Queue&, std::span<const SimpleRound<double>>);
template void simple_rows(const Queue&, std::span<const SimpleRows<float>>);
template void simple_rows(const Queue&, std::span<const SimpleRows<double>>);
template void simple_gain(const Queue&, std::span<const SimpleGain<float>>);
template void simple_gain(const Queue&, std::span<const SimpleGain<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
