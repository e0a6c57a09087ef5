#include "kernels/pack_symmetric.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int edge = 64, threads = 256;
constexpr int pitch = edge + 1;  // rows and columns of a staged tile both lie in different banks

/// One tile on or below the diagonal of one matrix: rows from 64 i, columns from 64 j.
struct Block {
    int task, b, i, j;
};

/// Calls f(row, column) for the elements on and below the diagonal of a tile; neighbouring threads take neighbours of
/// one row, or of one column.
enum class Neighbours { in_row, in_column };

template <class F>
__device__ void for_each_element(const Block& block, Index n, Neighbours neighbours, const F& f) {
    const Index i0 = Index{block.i} * edge, j0 = Index{block.j} * edge;
    for (int e = static_cast<int>(threadIdx.x); e < edge * edge; e += threads) {
        const int along = e % edge, across = e / edge;
        const int di = neighbours == Neighbours::in_row ? across : along;
        const int dj = neighbours == Neighbours::in_row ? along : across;
        if (i0 + di < n && j0 + dj <= i0 + di) f(i0 + di, j0 + dj, di * pitch + dj);
    }
}

template <class T>
__global__ void __launch_bounds__(threads) pack_tile(const PackSymmetric<T>* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const PackSymmetric<T> task = tasks[block.task];
    const Matrix<const T> C = task.C[block.b];
    T* const tile = dynamic_shared<T>();
    T* const packed = task.packed + block.b * triangle(C.rows) * task.stride;
    const auto along = C.row_stride == 1 ? Neighbours::in_column : Neighbours::in_row;
    for_each_element(block, C.rows, along, [&](Index i, Index j, int at) { tile[at] = C(i, j); });
    __syncthreads();
    for_each_element(block, C.rows, Neighbours::in_row,
                     [&](Index i, Index j, int at) { packed[(triangle(i) + j) * task.stride] = tile[at]; });
}

template <class T>
__global__ void __launch_bounds__(threads) unpack_tile(const UnpackSymmetric<T>* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const UnpackSymmetric<T> task = tasks[block.task];
    const Matrix<T> C = task.C[block.b];
    T* const tile = dynamic_shared<T>();
    const T* const packed = task.packed + block.b * triangle(C.rows) * task.stride;
    for_each_element(block, C.rows, Neighbours::in_row,
                     [&](Index i, Index j, int at) { tile[at] = packed[(triangle(i) + j) * task.stride]; });
    __syncthreads();
    // C and its transpose are the same matrix: written either way, its triangles have their neighbours in memory.
    const Index big = C.row_stride == 1 ? C.column_stride : C.row_stride;
    const Index small = C.row_stride == 1 ? C.row_stride : C.column_stride;
    for_each_element(block, C.rows, Neighbours::in_row,
                     [&](Index i, Index j, int at) { C.data[i * big + j * small] = tile[at]; });
    for_each_element(block, C.rows, Neighbours::in_column, [&](Index i, Index j, int at) {
        if (i != j) C.data[j * big + i * small] = tile[at];
    });
}

template <class T, class Task>
void run(void (*kernel)(const Task*, const Block*), const Queue& queue, std::span<const Task> group) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const int side = static_cast<int>((group[t].C.rows + edge - 1) / edge);
        for (int b = 0; b < counted(group[t].C.batch); ++b)
            for (int i = 0; i < side; ++i)
                for (int j = 0; j <= i; ++j) blocks.push_back({t, b, i, j});
    }
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(kernel, dim3(grid_for(blocks)), dim3(threads), edge * pitch * sizeof(T), queue.stream(), tasks.get(),
           table.get());
}

}  // namespace

template <class T>
void pack_symmetric(const Queue& queue, std::span<const PackSymmetric<T>> group) {
    run<T>(pack_tile<T>, queue, group);
}

template <class T>
void unpack_symmetric(const Queue& queue, std::span<const UnpackSymmetric<T>> group) {
    run<T>(unpack_tile<T>, queue, group);
}

template void pack_symmetric(const Queue&, std::span<const PackSymmetric<float>>);
template void pack_symmetric(const Queue&, std::span<const PackSymmetric<double>>);
template void unpack_symmetric(const Queue&, std::span<const UnpackSymmetric<float>>);
template void unpack_symmetric(const Queue&, std::span<const UnpackSymmetric<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
