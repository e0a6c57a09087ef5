#include "kernels/precondition_eigen.h"

#include <vector>

#include "cuda/block.cuh"
#include "kernels/multiply.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 256;
constexpr Index piece = 8192;  // elements that one block divides

/// One matrix, which of the largest curvatures is its own, or the elements of it from `first` on, row by row.
struct Block {
    int task, b, matrix;
    Index first;
};

template <class T>
__device__ double largest_value(const Matrix<const T>& values, double* shared) {
    double largest = 0;
    const Index n = values.columns;
    for (Index e = threadIdx.x; e < values.rows * n; e += threads)
        largest = max(largest, Denominators<T>::clamped(values(e / n, e % n)));
    return block_reduce(largest, [](double a, double b) { return a > b ? a : b; }, shared);
}

/// Looked for only where there is no damping; a block a matrix.
template <class T>
__global__ void find_largest_curvature(const PreconditionEigen<T>* tasks, const Block* matrices, double* largest) {
    const Block block = matrices[blockIdx.x];
    const PreconditionEigen<T>& task = tasks[block.task];
    double* const shared = dynamic_shared<double>();
    double found = 0;
    if (task.damping[block.b] == 0) {
        found = task.S.data
                    ? largest_value(task.S[block.b], shared)
                    : largest_value(task.A_values[block.b], shared) * largest_value(task.G_values[block.b], shared);
    }
    if (threadIdx.x == 0) largest[blockIdx.x] = found;
}

/// `rotated` are the matrices Q_G^T V Q_A of each task.
template <class T>
__global__ void divide_by_curvature(const PreconditionEigen<T>* tasks, const Stack<T>* rotated, const Block* blocks,
                                    const double* largest) {
    const Block block = blocks[blockIdx.x];
    const PreconditionEigen<T>& task = tasks[block.task];
    const Denominators<T> denominators(task, block.b, largest[block.matrix]);
    const Matrix<T> M = rotated[block.task][block.b];
    const Matrix<const T> S = task.S[block.b], A_values = task.A_values[block.b], G_values = task.G_values[block.b];
    const Index n = M.columns, end = min(block.first + piece, M.rows * n);
    for (Index e = block.first + threadIdx.x; e < end; e += threads) {
        const Index i = e / n, j = e % n;
        const double curvature =
            S.data ? Denominators<T>::clamped(S(i, j))
                   : Denominators<T>::clamped(G_values(0, i)) * Denominators<T>::clamped(A_values(0, j));
        M(i, j) = denominators.divide(M(i, j), curvature);
    }
}

template <class T>
void divide(const Queue& queue, std::span<const PreconditionEigen<T>> group, std::span<const Stack<T>> rotated) {
    std::vector<Block> matrices, blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].V.batch); ++b) {
            const int matrix = static_cast<int>(matrices.size());
            const Index size = group[t].V.rows * group[t].V.columns;
            for (Index first = 0; first < size; first += piece) blocks.push_back({t, b, matrix, first});
            matrices.push_back({t, b, matrix, 0});
        }
    const auto tasks = queue.copy_of(group);
    const auto on_device = queue.copy_of(rotated);
    const auto table = queue.copy_of(std::span<const Block>(matrices)),
               pieces = queue.copy_of(std::span<const Block>(blocks));
    const auto largest = queue.scratch<double>(static_cast<Index>(matrices.size()));
    launch(find_largest_curvature<T>, dim3(grid_for(matrices)), dim3(threads), most_warps * sizeof(double),
           queue.stream(), tasks.get(), table.get(), largest.get());
    launch(divide_by_curvature<T>, dim3(grid_for(blocks)), dim3(threads), 0, queue.stream(), tasks.get(),
           on_device.get(), pieces.get(), largest.get());
}

}  // namespace

template <class T>
void precondition_eigen(const Queue& queue, std::span<const PreconditionEigen<T>> group) {
    Index size = 0;
    for (const auto& task : group) size += task.V.batch * task.V.rows * task.V.columns;
    if (size == 0) return;
    const auto scratch = queue.scratch<T>(2 * size);
    T* begin = scratch.get();
    std::vector<Stack<T>> rotated;
    std::vector<Product<T>> products[4];
    for (const auto& task : group) {
        const auto next = [&] {
            const Stack<T> stack = contiguous_stack(begin, task.V.rows, task.V.columns, task.V.batch);
            begin += stack.batch * stack.batch_stride;
            return stack;
        };
        const Stack<T> half = next(), M = next();
        rotated.push_back(M);
        products[0].push_back({transposed(task.Q_G), task.V, half});
        products[1].push_back({read_only(half), task.Q_A, M});
        products[2].push_back({task.Q_G, read_only(M), half});
        products[3].push_back({read_only(half), transposed(task.Q_A), task.P});
    }
    multiply<T>(queue, products[0]);
    multiply<T>(queue, products[1]);
    divide<T>(queue, group, rotated);
    multiply<T>(queue, products[2]);
    multiply<T>(queue, products[3]);
}

template void precondition_eigen(const Queue&, std::span<const PreconditionEigen<float>>);
template void precondition_eigen(const Queue&, std::span<const PreconditionEigen<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
