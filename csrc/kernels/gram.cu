#include "kernels/gram.h"

#include <vector>

#include "cuda/block.cuh"
#include "cuda/tile.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int pair_threads = 128, pair_edge = 4;  // products of 4 x 4 rows, in the threads' registers
constexpr Index slab = 4096;                      // columns that a block of threads sums over

/// The products of rows from i on with rows from j on, of R or of V, over one slab; `slot` is where their sums go.
struct Block {
    int task, b, i, j;
    bool with_vectors, by_tiles;
    int part, parts;
    Index slot;
};

CURVBLAS_DEVICE constexpr int edge_of(bool by_tiles) { return by_tiles ? Tile<float>::edge : pair_edge; }

template <class T>
__device__ const Stack<const T>& others(const Gram<T>& task, const Block& block) {
    return block.with_vectors ? task.V : task.R;
}

/// By 4 x 4 rows: a thread takes every 128th column.
template <class T, class W>
__device__ void sum_pairs(const Matrix<const T>& A, const Matrix<const T>& B, Index i0, Index j0, Index begin,
                          Index end, double* to) {
    W sum[pair_edge][pair_edge] = {};
    for (Index k = begin + threadIdx.x; k < end; k += pair_threads) {
        W a[pair_edge], b[pair_edge];
#pragma unroll
        for (int r = 0; r < pair_edge; ++r) {
            a[r] = i0 + r < A.rows ? static_cast<W>(A(i0 + r, k)) : W(0);
            b[r] = j0 + r < B.rows ? static_cast<W>(B(j0 + r, k)) : W(0);
        }
#pragma unroll
        for (int r = 0; r < pair_edge; ++r)
#pragma unroll
            for (int c = 0; c < pair_edge; ++c) sum[r][c] = fma(a[r], b[c], sum[r][c]);
    }
    double* const shared = dynamic_shared<double>();
#pragma unroll
    for (int r = 0; r < pair_edge; ++r)
#pragma unroll
        for (int c = 0; c < pair_edge; ++c) {
            const double all = block_sum(static_cast<double>(sum[r][c]), shared);
            if (threadIdx.x == 0) to[r * pair_edge + c] = all;
        }
}

template <class T>
__global__ void __launch_bounds__(pair_threads)
    multiply_strips(const Gram<T>* tasks, const Block* blocks, double* slots) {
    const Block block = blocks[blockIdx.x];
    const Gram<T>& task = tasks[block.task];
    const Matrix<const T> A = task.R[block.b], B = others(task, block)[block.b];
    const Index begin = block.part * slab, end = min(begin + slab, A.columns);
    double* const to = slots + block.slot + block.part * pair_edge * pair_edge;
    if (task.exact || A.rows <= most_exact_rows)
        sum_pairs<T, double>(A, B, block.i, block.j, begin, end, to);
    else
        sum_pairs<T, T>(A, B, block.i, block.j, begin, end, to);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    multiply_slabs(const Gram<T>* tasks, const Block* blocks, double* slots) {
    const Block block = blocks[blockIdx.x];
    const Gram<T>& task = tasks[block.task];
    const Matrix<const T> A = task.R[block.b], B = others(task, block)[block.b];
    const Index begin = block.part * slab, count = min(slab, A.columns - begin);
    const Panel<T> a{A.data + begin * A.column_stride, count, A.rows, A.column_stride, A.row_stride};
    const Panel<T> b{B.data + begin * B.column_stride, count, B.rows, B.column_stride, B.row_stride};
    Tile<T> tile;
    tile.accumulate(
        count, [&](T* to, Index k0) { a.stage(to, k0, block.i); }, [&](T* to, Index k0) { b.stage(to, k0, block.j); });
    double* const to = slots + block.slot + block.part * Tile<T>::edge * Tile<T>::edge;
    tile.for_each([&](int i, int j, T& sum) { to[i * Tile<T>::edge + j] = static_cast<double>(sum); });
}

/// The sums of all slabs, in their order.
template <class T>
__global__ void add_slabs(const Gram<T>* tasks, const Block* blocks, const double* slots) {
    const Block block = blocks[blockIdx.x];
    const Gram<T>& task = tasks[block.task];
    const Matrix<double> to = (block.with_vectors ? task.P : task.K)[block.b];
    const int edge = edge_of(block.by_tiles);
    for (int e = static_cast<int>(threadIdx.x); e < edge * edge; e += pair_threads) {
        const Index i = block.i + e / edge, j = block.j + e % edge;
        if (i >= to.rows || j >= to.columns || (!block.with_vectors && j > i)) continue;
        double sum = 0;
        for (int part = 0; part < block.parts; ++part) sum += slots[block.slot + Index{part} * edge * edge + e];
        to(i, j) = sum;
        if (!block.with_vectors) to(j, i) = sum;
    }
}

/// The blocks of all products, and one for each output.
struct Table {
    std::vector<Block> pairs, tiles, outputs;
    Index words = 0;

    void append(Block block, Index columns) {
        const Index parts = (columns + slab - 1) / slab, edge = edge_of(block.by_tiles);
        block.parts = counted(parts), block.slot = words;
        words += parts * edge * edge;
        outputs.push_back(block);
        for (block.part = 0; block.part < block.parts; ++block.part) (block.by_tiles ? tiles : pairs).push_back(block);
    }
    /// All pairs of edges of m rows and of `others`.
    void append(int task, int b, Index m, Index others, bool with_vectors, bool exact, Index columns) {
        const bool by_tiles = !exact && m > most_rows_of_pairs && others > most_exact_rows;
        const int edge = edge_of(by_tiles);
        for (int i = 0; i < m; i += edge)
            for (int j = 0; j < others && (with_vectors || j <= i); j += edge)
                append({task, b, i, j, with_vectors, by_tiles, 0, 0, 0}, columns);
    }
};

template <class T, class Kernel>
void run(const Queue& queue, const Kernel& kernel, const std::vector<Block>& blocks, int threads, std::size_t shared,
         const Gram<T>* tasks, double* slots) {
    if (blocks.empty()) return;
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(kernel, dim3(grid_for(blocks)), dim3(static_cast<unsigned>(threads)), shared, queue.stream(), tasks,
           table.get(), slots);
}

}  // namespace

template <class T>
void gram(const Queue& queue, std::span<const Gram<T>> group) {
    Table table;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const auto& [R, V, K, P, exact] = group[t];
        for (int b = 0; b < counted(R.batch); ++b) {
            if (K.data) table.append(t, b, R.rows, R.rows, false, exact, R.columns);
            if (P.data) table.append(t, b, R.rows, V.rows, true, exact, R.columns);
        }
    }
    if (table.outputs.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto slots = queue.template scratch<double>(table.words);
    run<T>(queue, multiply_strips<T>, table.pairs, pair_threads, most_warps * sizeof(double), tasks.get(), slots.get());
    run<T>(queue, multiply_slabs<T>, table.tiles, Tile<T>::threads, Tile<T>::shared_bytes, tasks.get(), slots.get());
    const auto outputs = queue.copy_of(std::span<const Block>(table.outputs));
    launch(add_slabs<T>, dim3(grid_for(table.outputs)), dim3(pair_threads), 0, queue.stream(), tasks.get(),
           outputs.get(), static_cast<const double*>(slots.get()));
}

template void gram(const Queue&, std::span<const Gram<float>>);
template void gram(const Queue&, std::span<const Gram<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
