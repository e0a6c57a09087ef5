#include "kernels/low_rank_apply.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128, most_rows = 4;

/// A thread for each of 128 columns, from column `first` on, of up to four rows of P.
struct Block {
    int task, b, i;
    Index first;
};

/// sum += Q R for column j, and `rows` rows of Q from row i on.
template <class T>
__device__ void add_rows(const Matrix<const double>& Q, const Matrix<const T>& R, int i, int rows, Index j,
                         double (&sum)[most_rows]) {
    for (Index k = 0; k < R.rows; ++k) {
        const double x = static_cast<double>(R(k, j));
#pragma unroll
        for (int r = 0; r < most_rows; ++r)
            if (r < rows) sum[r] = fma(Q(i + r, k), x, sum[r]);
    }
}

template <class T>
__global__ void __launch_bounds__(threads) combine_rows(const LowRankApply<T>* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const LowRankApply<T>& task = tasks[block.task];
    if (task.is_wanted && task.is_wanted[block.b] == 0) return;
    const Matrix<const double> Q = task.Q[block.b];
    const Matrix<const T> R = task.R[block.b], G = task.G[block.b];
    const Matrix<T> P = task.P[block.b];
    const Index j = block.first + threadIdx.x;
    if (j >= P.columns) return;
    const int rows = static_cast<int>(min(Index{most_rows}, P.rows - block.i));
    double sum[most_rows] = {};
#pragma unroll
    for (int r = 0; r < most_rows; ++r)
        if (G.data && r < rows)
            sum[r] = task.w[block.b * P.rows + block.i + r] * static_cast<double>(G(block.i + r, j));
    add_rows(Q, R, block.i, rows, j, sum);
    if (task.R_2.data) add_rows(task.Q_2[block.b], task.R_2[block.b], block.i, rows, j, sum);
#pragma unroll
    for (int r = 0; r < most_rows; ++r)
        if (r < rows) P(block.i + r, j) = static_cast<T>(sum[r]);
}

/// P of what was to be written in place.
struct Copy {
    int task, b;
    Index first;
};

template <class T>
__global__ void __launch_bounds__(threads)
    copy_rows(const LowRankApply<T>* tasks, const Stack<T>* targets, const Copy* copies) {
    const Copy block = copies[blockIdx.x];
    const double* const is_wanted = tasks[block.task].is_wanted;
    if (is_wanted && is_wanted[block.b] == 0) return;
    const Matrix<T> from = tasks[block.task].P[block.b], to = targets[block.task][block.b];
    const Index j = block.first + threadIdx.x;
    for (Index i = 0; i < to.rows && j < to.columns; ++i) to(i, j) = from(i, j);
}

}  // namespace

/// What is written in place is written to scratch first: threads of other rows still read it.
template <class T>
void low_rank_apply(const Queue& queue, std::span<const LowRankApply<T>> group) {
    std::vector<LowRankApply<T>> tasks(group.begin(), group.end());
    std::vector<Stack<T>> targets;
    std::vector<Block> blocks;
    std::vector<Copy> copies;
    Index words = 0;
    for (const LowRankApply<T>& task : tasks)
        if (task.P.data == task.R.data) words += task.P.batch * task.P.rows * task.P.columns;
    const auto scratch = queue.template scratch<T>(words);
    T* next = scratch.get();
    for (int t = 0; t < static_cast<int>(tasks.size()); ++t) {
        LowRankApply<T>& task = tasks[t];
        targets.push_back(task.P);
        const bool in_place = task.P.data == task.R.data;
        if (in_place) {
            const auto [data, rows, columns, row_stride, column_stride, batch, batch_stride] = task.P;
            task.P = {next, rows, columns, columns, 1, batch, rows * columns};
            next += batch * rows * columns;
        }
        for (int b = 0; b < counted(task.P.batch); ++b)
            for (Index first = 0; first < task.P.columns; first += threads) {
                for (int i = 0; i < task.P.rows; i += most_rows) blocks.push_back({t, b, i, first});
                if (in_place) copies.push_back({t, b, first});
            }
    }
    if (blocks.empty()) return;
    const auto there = queue.copy_of(std::span<const LowRankApply<T>>(tasks));
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(combine_rows<T>, dim3(grid_for(blocks)), dim3(threads), 0, queue.stream(), there.get(), table.get());
    if (copies.empty()) return;
    const auto to = queue.copy_of(std::span<const Stack<T>>(targets));
    const auto copy_table = queue.copy_of(std::span<const Copy>(copies));
    launch(copy_rows<T>, dim3(grid_for(copies)), dim3(threads), 0, queue.stream(), there.get(), to.get(),
           copy_table.get());
}

template void low_rank_apply(const Queue&, std::span<const LowRankApply<float>>);
template void low_rank_apply(const Queue&, std::span<const LowRankApply<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
