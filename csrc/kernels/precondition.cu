#include "kernels/precondition.h"

#include <vector>

#include "cuda/tile.cuh"
#include "cuda/vendor_blas.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// One tile of one product: rows from 64 i, columns from 64 j. `half` is where G_inv V of this matrix lies.
struct Block {
    int task, b, i, j;
    Index half;
};

template <class T>
__device__ void multiply_tile(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C, int i, int j) {
    const Index i0 = Index{i} * Tile<T>::edge, j0 = Index{j} * Tile<T>::edge;
    const Panel<T> a{A.data, A.columns, A.rows, A.column_stride, A.row_stride};
    const Panel<T> b{B.data, B.rows, B.columns, B.row_stride, B.column_stride};
    Tile<T> tile;
    tile.accumulate(
        A.columns, [&](T* to, Index k0) { a.stage(to, k0, i0); }, [&](T* to, Index k0) { b.stage(to, k0, j0); });
    tile.for_each([&](int di, int dj, T& sum) {
        if (i0 + di < C.rows && j0 + dj < C.columns) C(i0 + di, j0 + dj) = sum;
    });
}

template <class T>
__device__ Matrix<T> half_of(const Precondition<T>& task, const Block& block, T* halves) {
    return {halves + block.half, task.V.rows, task.V.columns, task.V.columns, 1};
}

template <class T>
__device__ Matrix<const T> read_only(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride};
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    multiply_left(const Precondition<T>* tasks, const Block* blocks, T* halves) {
    const Block block = blocks[blockIdx.x];
    const Precondition<T> task = tasks[block.task];
    multiply_tile(task.G_inv[block.b], task.V[block.b], half_of(task, block, halves), block.i, block.j);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    multiply_right(const Precondition<T>* tasks, const Block* blocks, T* halves) {
    const Block block = blocks[blockIdx.x];
    const Precondition<T> task = tasks[block.task];
    multiply_tile(read_only(half_of(task, block, halves)), task.A_inv[block.b], task.P[block.b], block.i, block.j);
}

// From here on a single product fills a device, and the vendor's library multiplies.
constexpr Index large = 512;

template <class T>
bool is_for_vendor(const Precondition<T>& task) {
    return min(task.V.rows, task.V.columns) >= large && vendor_blas::is_blas(task.V[0]) &&
           vendor_blas::is_blas(task.A_inv[0]) && vendor_blas::is_blas(task.G_inv[0]) && task.P.column_stride == 1 &&
           vendor_blas::is_blas(task.P[0]) && vendor_blas::available();
}

template <class T>
void multiply_large(const Queue& queue, const Precondition<T>& task) {
    const Index m = task.V.rows, n = task.V.columns;
    const auto half = queue.scratch<T>(m * n);
    for (Index b = 0; b < task.V.batch; ++b) {
        vendor_blas::multiply<T>(queue, task.G_inv[b], task.V[b], {half.get(), m, n, n, 1});
        vendor_blas::multiply<T>(queue, {half.get(), m, n, n, 1}, task.A_inv[b], task.P[b]);
    }
}

}  // namespace

template <class T>
void precondition(const Queue& queue, std::span<const Precondition<T>> group) {
    std::vector<Block> blocks;
    Index size = 0;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        if (is_for_vendor(group[t])) {
            multiply_large(queue, group[t]);
            continue;
        }
        const auto& V = group[t].V;
        const auto tiles = [](Index n) { return static_cast<int>((n + Tile<T>::edge - 1) / Tile<T>::edge); };
        for (int b = 0; b < counted(V.batch); ++b, size += V.rows * V.columns)
            for (int i = 0; i < tiles(V.rows); ++i)
                for (int j = 0; j < tiles(V.columns); ++j) blocks.push_back({t, b, i, j, size});
    }
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    const auto halves = queue.scratch<T>(size);
    const dim3 grid(grid_for(blocks)), threads(Tile<T>::threads);
    const auto run = [&](auto kernel) {
        launch(kernel, grid, threads, Tile<T>::shared_bytes, queue.stream(), tasks.get(), table.get(), halves.get());
    };
    run(multiply_left<T>);
    run(multiply_right<T>);
}

template void precondition(const Queue&, std::span<const Precondition<float>>);
template void precondition(const Queue&, std::span<const Precondition<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
