#include "kernels/precondition.h"

#include <vector>

#include "cuda/block.cuh"
#include "kernels/multiply.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 256;
constexpr Index piece = 16384;  // elements whose products one block sums

/// The elements of one matrix from `first` on, counted row by row.
struct Block {
    int task, b;
    Index first;
};

/// The sums of the pieces of one matrix.
struct Pieces {
    Index begin, count;
    double* inner;
};

template <class T>
__global__ void sum_inner(const Precondition<T>* tasks, const Block* blocks, double* sums) {
    const Block block = blocks[blockIdx.x];
    const Precondition<T>& task = tasks[block.task];
    const Matrix<const T> V = task.V[block.b];
    const Matrix<T> P = task.P[block.b];
    const Index n = V.columns, end = min(block.first + piece, V.rows * n);
    double sum = 0;
    for (Index e = block.first + threadIdx.x; e < end; e += threads)
        sum = fma(static_cast<double>(V(e / n, e % n)), static_cast<double>(P(e / n, e % n)), sum);
    sum = block_sum(sum, dynamic_shared<double>());
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void join_inner(const Pieces* matrices, Index count, const double* sums) {
    const Index k = static_cast<Index>(blockIdx.x) * threads + threadIdx.x;
    if (k >= count) return;
    const Pieces pieces = matrices[k];
    double sum = 0;
    for (Index p = 0; p < pieces.count; ++p) sum += sums[pieces.begin + p];
    *pieces.inner = sum;
}

/// The inner products of the tasks that want them; P is there already.
template <class T>
void find_inner(const Queue& queue, std::span<const Precondition<T>> group) {
    std::vector<Block> blocks;
    std::vector<Pieces> matrices;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; group[t].inner && b < counted(group[t].V.batch); ++b) {
            const Index begin = static_cast<Index>(blocks.size()), size = group[t].V.rows * group[t].V.columns;
            for (Index first = 0; first < size; first += piece) blocks.push_back({t, b, first});
            matrices.push_back({begin, static_cast<Index>(blocks.size()) - begin, group[t].inner + b});
        }
    if (matrices.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    const auto sums = queue.scratch<double>(static_cast<Index>(blocks.size()));
    const auto on_device = queue.copy_of(std::span<const Pieces>(matrices));
    launch(sum_inner<T>, dim3(grid_for(blocks)), dim3(threads), most_warps * sizeof(double), queue.stream(),
           tasks.get(), table.get(), sums.get());
    const Index count = counted(static_cast<Index>(matrices.size()));
    launch(join_inner, dim3(static_cast<unsigned>((count + threads - 1) / threads)), dim3(threads), 0, queue.stream(),
           on_device.get(), count, sums.get());
}

}  // namespace

template <class T>
void precondition(const Queue& queue, std::span<const Precondition<T>> group) {
    Index size = 0;
    for (const auto& task : group) size += task.V.batch * task.V.rows * task.V.columns;
    if (size > 0) {
        const auto halves = queue.scratch<T>(size);
        std::vector<Product<T>> left, right;
        T* begin = halves.get();
        for (const auto& task : group) {
            const Stack<T> half = contiguous_stack(begin, task.V.rows, task.V.columns, task.V.batch);
            begin += half.batch * half.batch_stride;
            left.push_back({task.G_inv, task.V, half});
            right.push_back({read_only(half), task.A_inv, task.P});
        }
        multiply<T>(queue, left);
        multiply<T>(queue, right);
    }
    find_inner(queue, group);
}

template void precondition(const Queue&, std::span<const Precondition<float>>);
template void precondition(const Queue&, std::span<const Precondition<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
