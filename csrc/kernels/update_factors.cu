#include "kernels/update_factors.h"

#include "cuda/second_moments.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// Rows [begin, end) of one task, with the implicit 1 of the bias appended, as the panels of a tile.
template <class T>
class RowPanels {
  public:
    __device__ RowPanels(const UpdateFactors<T>& task, Index b, const Range& range)
        : task_(task), b_(b), begin_(range.begin), end_(range.end) {}

    __device__ void stage(T* to, Index k0, Index i0, bool weighted) const {
        constexpr int edge = Tile<T>::edge;
        const Rows& R = task_.R;
        const bool converted = R.dtype != dtype_of<T> || weighted || (task_.bias && i0 + edge > R.d);
        if (!converted && R.has_one_stride()) {
            const T* const data = static_cast<const T*>(R.row(b_, begin_));
            const Panel<T> panel{data, end_ - begin_, R.d, R.row_stride(), R.d_stride};
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

template <class T>
__device__ void finish(const UpdateFactors<T>& task, const TileSum& block, Tile<T>& tile) {
    const MovingAverage<T> average(task.decay[block.b], task.scale ? task.scale + block.b : nullptr, task.R.N,
                                   task.most_decay);
    finish_tile(tile, average, task.C[block.b], task.updated[block.b], block.i, block.j);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    sum_rows(const TileSum* blocks, const UpdateFactors<T>* tasks, T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    const UpdateFactors<T>& task = tasks[block.task];  // not copied: it would take registers from the tile
    const Range range(task.R.count(), block.split, block.splits);
    const RowPanels<T> R(task, block.b, range);
    const bool weighted = task.w.data != nullptr;
    Tile<T> tile;
    tile.accumulate(
        range.end - range.begin, [&](T* to, Index k0) { R.stage(to, k0, Index{block.i} * Tile<T>::edge, weighted); },
        [&](T* to, Index k0) { R.stage(to, k0, Index{block.j} * Tile<T>::edge, false); });
    if (block.splits == 1) return finish(task, block, tile);
    store_partial_sum(tile, partial_sums + block.slot * slot_size<T>);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    join_sums(const TileSum* blocks, const UpdateFactors<T>* tasks, const T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    Tile<T> tile;
    add_partial_sums(tile, partial_sums + block.slot * slot_size<T>, block.splits);
    finish(tasks[block.task], block, tile);
}

template <class T>
Index splits_of_task(const UpdateFactors<T>& task) {
    const Index side = tiles_of<T>(task.updated.rows);
    return splits_of(side * (side + 1) / 2, task.R.count());
}

}  // namespace

template <class T>
void update_factors(const Queue& queue, std::span<const UpdateFactors<T>> group) {
    if (group.empty()) return;
    constexpr Index most_bytes = Index{64} << 20;  // of partial sums at a time, as on the CPU
    const auto tasks = queue.copy_of(group);
    constexpr Index most_slots = most_bytes / (slot_size<T> * sizeof(T));
    for_each_round<T>(group, most_slots, splits_of_task<T>, [&](const TileRound& round) {
        const auto partial_sums = queue.scratch<T>(round.slots * slot_size<T>);
        launch_tiles<T>(queue, sum_rows<T>, round.sums, Tile<T>::shared_bytes, tasks.get(), partial_sums.get());
        launch_tiles<T>(queue, join_sums<T>, round.joins, Tile<T>::shared_bytes, tasks.get(), partial_sums.get());
    });
}

template void update_factors(const Queue&, std::span<const UpdateFactors<float>>);
template void update_factors(const Queue&, std::span<const UpdateFactors<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
