#include "kernels/update_factors.h"

#include <algorithm>
#include <vector>

#include "cuda/tile.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int edge = 64;

/// One tile of one factor, rows from 64 i, columns from 64 j <= i, or its part from rows [split rows_per_split, ...) of
/// R. Partial sum number `slot` is its own; for the join it is that of split 0.
struct Block {
    int task, b, i, j, split, splits;
    Index slot;
};

/// How many ranges of rows a factor of this shape is summed in, so that small factors of many rows occupy the device
/// too; depends on the shape alone.
int splits_of(Index n, Index rows) {
    constexpr Index rows_per_split = 2048, enough_tiles = 64;
    const Index side = (n + edge - 1) / edge, tiles = std::max<Index>(side * (side + 1) / 2, 1);
    return static_cast<int>(std::max<Index>(std::min(rows / rows_per_split, enough_tiles / tiles), 1));
}

template <class T>
__device__ T element(DType dtype, const void* row, Index j) {
    switch (dtype) {
        case DType::float64:
            return static_cast<T>(static_cast<const double*>(row)[j]);
        case DType::float32:
            return static_cast<T>(static_cast<const float*>(row)[j]);
        case DType::float16:
            return static_cast<T>(widen_float16(static_cast<const std::uint16_t*>(row)[j]));
        case DType::bfloat16:
            return static_cast<T>(widen_bfloat16(static_cast<const std::uint16_t*>(row)[j]));
    }
    return T(0);
}

/// Rows [begin, end) of one task, with the implicit 1 of the bias appended, as the panels of a tile.
template <class T>
class BiasedRows {
  public:
    __device__ BiasedRows(const UpdateFactors<T>& task, Index b, Index begin, Index end)
        : task_(task), b_(b), begin_(begin), end_(end) {}

    __device__ void stage(T* to, Index k0, Index i0, bool weighted) const {
        const Rows& R = task_.R;
        const bool one_stride = R.T == 1 || R.n_stride == R.T * R.t_stride;
        const bool as_they_are = R.dtype == dtype_of<T> && one_stride && !weighted && !(task_.bias && i0 + edge > R.d);
        if (as_they_are) {
            const Index stride = R.T == 1 ? R.n_stride : R.t_stride;
            const Panel<T> panel{static_cast<const T*>(R.row(b_, begin_)), end_ - begin_, R.d, stride, R.d_stride};
            return panel.stage(to, k0, i0);
        }
        for (int e = static_cast<int>(threadIdx.x); e < Tile<T>::depth * edge; e += Tile<T>::threads) {
            const int k = e / edge, i = e % edge;
            to[k * Tile<T>::pitch + i] = value(begin_ + k0 + k, i0 + i, weighted);
        }
    }

  private:
    __device__ T value(Index r, Index column, bool weighted) const {
        const Rows &R = task_.R, &w = task_.w;
        if (r >= end_ || column >= task_.updated.columns) return T(0);
        const T x = column < R.d ? element<T>(R.dtype, R.row(b_, r), column * R.d_stride) : T(1);
        return weighted ? x * element<T>(w.dtype, w.row(b_, r), 0) : x;
    }

    const UpdateFactors<T>& task_;
    Index b_, begin_, end_;
};

/// updated = decay C + scale sum for one tile below the diagonal, and its mirror image.
template <class T>
__device__ void finish(const UpdateFactors<T>& task, const Block& block, Tile<T>& tile) {
    const Matrix<const T> C = task.C[block.b];
    const Matrix<T> updated = task.updated[block.b];
    const Index N = task.R.N;
    double decay = task.decay[block.b];
    double scale = task.scale ? task.scale[block.b] : N > 0 ? (1 - decay) / static_cast<double>(N) : 0;
    if (!(decay >= 0 && decay <= 1 && isfinite(scale))) decay = 0, scale = NAN;
    const T keep = static_cast<T>(decay), add = static_cast<T>(scale);
    tile.for_each([&](int di, int dj, T& sum) {
        const Index i = Index{block.i} * edge + di, j = Index{block.j} * edge + dj;
        if (i >= C.rows || j > i) return;
        const T old = keep == T(0) ? T(0) : keep * C(i, j);
        updated(i, j) = updated(j, i) = fma(add, sum, old);
    });
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    sum_rows(const UpdateFactors<T>* tasks, const Block* blocks, T* partial_sums) {
    const Block block = blocks[blockIdx.x];
    const UpdateFactors<T>& task = tasks[block.task];  // not copied: it would take registers from the tile
    const Index rows = task.R.count(), per_split = (rows + block.splits - 1) / block.splits;
    const Index begin = min(block.split * per_split, rows), end = min(begin + per_split, rows);
    const BiasedRows<T> R(task, block.b, begin, end);
    const bool weighted = task.w.data != nullptr;
    Tile<T> tile;
    tile.accumulate(
        end - begin, [&](T* to, Index k0) { R.stage(to, k0, Index{block.i} * edge, weighted); },
        [&](T* to, Index k0) { R.stage(to, k0, Index{block.j} * edge, false); });
    if (block.splits == 1) return finish(task, block, tile);
    T* const own = partial_sums + block.slot * edge * edge;
    tile.for_each([&](int i, int j, T& sum) { own[i * edge + j] = sum; });
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    join_sums(const UpdateFactors<T>* tasks, const Block* blocks, const T* partial_sums) {
    const Block block = blocks[blockIdx.x];
    const UpdateFactors<T> task = tasks[block.task];
    Tile<T> tile;
    tile.for_each([&](int i, int j, T& sum) {
        for (int s = 0; s < block.splits; ++s) sum += partial_sums[((block.slot + s) * edge + i) * edge + j];
    });
    finish(task, block, tile);
}

}  // namespace

template <class T>
void update_factors(const Queue& queue, std::span<const UpdateFactors<T>> group) {
    static_assert(Tile<T>::edge == edge);
    std::vector<Block> sums, joins;
    Index slots = 0;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const Index n = group[t].updated.rows;
        const int side = static_cast<int>((n + edge - 1) / edge), splits = splits_of(n, group[t].R.count());
        for (int b = 0; b < counted(group[t].updated.batch); ++b)
            for (int i = 0; i < side; ++i)
                for (int j = 0; j <= i; ++j) {
                    if (splits > 1) joins.push_back({t, b, i, j, 0, splits, slots});
                    for (int s = 0; s < splits; ++s)
                        sums.push_back({t, b, i, j, s, splits, splits > 1 ? slots++ : Index{0}});
                }
    }
    if (sums.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto partial_sums = queue.scratch<T>(slots * edge * edge);
    const auto run = [&](auto kernel, const std::vector<Block>& blocks) {
        const auto table = queue.copy_of(std::span<const Block>(blocks));
        launch(kernel, dim3(grid_for(blocks)), dim3(Tile<T>::threads), Tile<T>::shared_bytes, queue.stream(),
               tasks.get(), table.get(), partial_sums.get());
    };
    run(sum_rows<T>, sums);
    if (!joins.empty()) run(join_sums<T>, joins);
}

template void update_factors(const Queue&, std::span<const UpdateFactors<float>>);
template void update_factors(const Queue&, std::span<const UpdateFactors<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
