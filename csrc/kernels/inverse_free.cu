#include "kernels/inverse_free.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 256;

/// A block a matrix: what these kernels do is little beside the products between them.
struct Block {
    int factor, b;
};

template <class T>
__device__ double inner_product(const Matrix<const T>& X, const Matrix<const T>& Y, double* shared) {
    double sum = 0;
    const Index n = X.columns;
    for (Index e = threadIdx.x; e < X.rows * n; e += threads)
        sum = fma(static_cast<double>(X(e / n, e % n)), static_cast<double>(Y(e / n, e % n)), sum);
    return block_sum(sum, shared);
}

/// Calls work(i, j) for the elements of an n x n matrix.
template <class Work>
__device__ void for_each_element(Index n, const Work& work) {
    for (Index e = threadIdx.x; e < n * n; e += threads) work(e / n, e % n);
}

template <class T>
__global__ void combine(const InverseFreeFactor<T>* factors, const Block* blocks, InverseFreeRule rule) {
    const Block block = blocks[blockIdx.x];
    const InverseFreeFactor<T>& factor = factors[block.factor];
    const Matrix<const T> C = factor.C[block.b];
    double trace = 0, square = 0;
    if (rule == InverseFreeRule::singd) {
        trace = inner_product(C, factor.H_other[block.b], dynamic_shared<double>());
        square = inner_product(C, C, dynamic_shared<double>());
    }
    const CurvatureWeights weights(rule, factor.damping[block.b], trace, square, C.rows);
    const Matrix<const T> K = factor.K[block.b];
    const Matrix<T> H = factor.H[block.b], U = factor.U[block.b];
    for_each_element(K.rows, [&](Index i, Index j) {
        U(i, j) =
            static_cast<T>(fma(weights.a, static_cast<double>(H(i, j)), weights.b * static_cast<double>(K(i, j))));
    });
}

template <class T>
__global__ void average_momentum(const InverseFreeFactor<T>* factors, const Block* blocks, InverseFreeRule) {
    const Block block = blocks[blockIdx.x];
    const InverseFreeFactor<T>& factor = factors[block.factor];
    const double keep = valid_or_nan(factor.keep[block.b], 1);
    const Matrix<const T> M = factor.momentum[block.b];
    const Matrix<T> product = factor.product[block.b], updated = factor.new_momentum[block.b];
    for_each_element(M.rows, [&](Index i, Index j) {
        updated(i, j) = next_momentum(keep, keep == 0 ? T(0) : M(i, j), product(i, j), i == j);
    });
}

template <class T>
__global__ void take_step(const InverseFreeFactor<T>* factors, const Block* blocks, InverseFreeRule) {
    const Block block = blocks[blockIdx.x];
    const InverseFreeFactor<T>& factor = factors[block.factor];
    const T step = static_cast<T>(valid_or_nan(factor.step[block.b], HUGE_VAL));
    const Matrix<const T> K = factor.K[block.b];
    const Matrix<T> product = factor.product[block.b], updated = factor.new_K[block.b];
    for_each_element(K.rows, [&](Index i, Index j) { updated(i, j) = fma(-step, product(i, j), K(i, j)); });
}

template <class T, class Kernel>
void run(const Queue& queue, std::span<const InverseFreeFactor<T>> group, InverseFreeRule rule, const Kernel& kernel) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].K.batch); ++b) blocks.push_back({t, b});
    if (blocks.empty()) return;
    const auto factors = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(kernel, dim3(grid_for(blocks)), dim3(threads), most_warps * sizeof(double), queue.stream(), factors.get(),
           table.get(), rule);
}

}  // namespace

template <class T>
void combine_curvature(const Queue& queue, std::span<const InverseFreeFactor<T>> group, InverseFreeRule rule) {
    run(queue, group, rule, combine<T>);
}

template <class T>
void update_momentum(const Queue& queue, std::span<const InverseFreeFactor<T>> group) {
    run(queue, group, InverseFreeRule::singd, average_momentum<T>);
}

template <class T>
void apply_momentum(const Queue& queue, std::span<const InverseFreeFactor<T>> group) {
    run(queue, group, InverseFreeRule::singd, take_step<T>);
}

template void combine_curvature(const Queue&, std::span<const InverseFreeFactor<float>>, InverseFreeRule);
template void combine_curvature(const Queue&, std::span<const InverseFreeFactor<double>>, InverseFreeRule);
template void update_momentum(const Queue&, std::span<const InverseFreeFactor<float>>);
template void update_momentum(const Queue&, std::span<const InverseFreeFactor<double>>);
template void apply_momentum(const Queue&, std::span<const InverseFreeFactor<float>>);
template void apply_momentum(const Queue&, std::span<const InverseFreeFactor<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
