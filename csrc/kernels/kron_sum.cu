#include "kernels/kron_sum.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 256;

/// A block a matrix: the eigenproblems beside it take far longer.
struct Block {
    int task, b;
};

/// Calls element(i, j) for the elements of an m x n matrix.
template <class Element>
__device__ void for_each_element(Index m, Index n, const Element& element) {
    for (Index e = threadIdx.x; e < m * n; e += threads) element(e / n, e % n);
}

template <class T>
__global__ void scale_columns(const Whitening<T>* tasks, const Block* blocks, double) {
    const Block block = blocks[blockIdx.x];
    const Whitening<T>& task = tasks[block.task];
    const Matrix<const T> Q = task.Q[block.b];
    const Matrix<T> W = task.W[block.b];
    const T* const values = task.values + block.b * W.columns;
    for_each_element(W.rows, W.columns, [&](Index i, Index j) { W(i, j) = Q(i, j) * inverse_root(values[j]); });
}

template <class T>
__global__ void add_products(const KronSumDenominators<T>* tasks, const Block* blocks, double sign) {
    const Block block = blocks[blockIdx.x];
    const KronSumDenominators<T>& task = tasks[block.task];
    const Matrix<T> S = task.S[block.b];
    const T *const s_A = task.A_values + block.b * S.columns, *const s_B = task.B_values + block.b * S.rows;
    if (threadIdx.x == 0) task.least[block.b] = least_denominator;
    for_each_element(S.rows, S.columns,
                     [&](Index i, Index j) { S(i, j) = denominator_above_least(sign, s_A[j], s_B[i]); });
}

template <class T>
__global__ void judge_matrices(const KronSumReport<T>* reports, const Block* blocks, double sign) {
    const Block block = blocks[blockIdx.x];
    const KronSumReport<T>& report = reports[block.task];
    double* const shared = dynamic_shared<double>();
    const Matrix<const T> Z = report.Z[block.b], BXA = report.BXA[block.b], DXC = report.DXC[block.b];
    double largest = 0, not_finite = 0;
    for_each_element(Z.rows, Z.columns, [&](Index i, Index j) {
        const double z = fabs(static_cast<double>(Z(i, j)));
        if (!isfinite(z)) not_finite = 1;
        if (z > largest) largest = z;
    });
    largest = block_reduce(largest, [](double a, double b) { return a > b ? a : b; }, shared);
    not_finite = block_sum(not_finite, shared);
    const double scale = largest > 0 ? largest : 1;
    double squares = 0, Z_squares = 0;
    for_each_element(Z.rows, Z.columns, [&](Index i, Index j) {
        const double z = static_cast<double>(Z(i, j)) / scale;
        const double r = static_cast<double>(BXA(i, j)) / scale + sign * (static_cast<double>(DXC(i, j)) / scale) - z;
        squares = fma(r, r, squares), Z_squares = fma(z, z, Z_squares);
    });
    squares = block_sum(squares, shared), Z_squares = block_sum(Z_squares, shared);
    Status status = status_of_parts(report, block.b);
    if (status == Status::ok && not_finite > 0) status = Status::not_finite;
    const double residual = status == Status::ok ? relative_residual(squares, Z_squares, scale) : NAN;
    // Written as not(<=) so that NaN is inaccurate too.
    if (status == Status::ok && !(residual <= residual_bound)) status = Status::inaccurate;
    if (threadIdx.x == 0) report.status[block.b] = status, report.residual[block.b] = residual;
    if (status == Status::ok || status == Status::inaccurate) return;
    const Matrix<T> X = report.X[block.b];
    for_each_element(X.rows, X.columns, [&](Index i, Index j) { X(i, j) = static_cast<T>(NAN); });
}

template <class Task, class Kernel>
void run(const Queue& queue, std::span<const Task> group, const Kernel& kernel, const std::vector<Index>& batches,
         double sign) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(batches[t]); ++b) blocks.push_back({t, b});
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(kernel, dim3(grid_for(blocks)), dim3(threads), most_warps * sizeof(double), queue.stream(), tasks.get(),
           table.get(), sign);
}

}  // namespace

template <class T>
void whiten(const Queue& queue, std::span<const Whitening<T>> group) {
    std::vector<Index> batches;
    for (const auto& task : group) batches.push_back(task.W.batch);
    run(queue, group, scale_columns<T>, batches, 0);
}

template <class T>
void find_denominators(const Queue& queue, std::span<const KronSumDenominators<T>> group, double sign) {
    std::vector<Index> batches;
    for (const auto& task : group) batches.push_back(task.S.batch);
    run(queue, group, add_products<T>, batches, sign);
}

template <class T>
void judge(const Queue& queue, std::span<const KronSumReport<T>> group, double sign) {
    std::vector<Index> batches;
    for (const auto& report : group) batches.push_back(report.X.batch);
    run(queue, group, judge_matrices<T>, batches, sign);
}

template void whiten(const Queue&, std::span<const Whitening<float>>);
template void whiten(const Queue&, std::span<const Whitening<double>>);
template void find_denominators(const Queue&, std::span<const KronSumDenominators<float>>, double);
template void find_denominators(const Queue&, std::span<const KronSumDenominators<double>>, double);
template void judge(const Queue&, std::span<const KronSumReport<float>>, double);
template void judge(const Queue&, std::span<const KronSumReport<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
