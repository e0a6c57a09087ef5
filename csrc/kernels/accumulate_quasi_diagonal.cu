#include "kernels/accumulate_quasi_diagonal.h"

#include <vector>

#include "cuda/rows.cuh"
#include "cuda/second_moments.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// Tiles of the second moments stand behind those of the first ones.
struct Column {
    bool is_second;
    int j;

    template <class T>
    __device__ Column(const AccumulateQuasiDiagonal<T>& task, int tile) : is_second(false), j(tile) {
        const int side = static_cast<int>((task.first.columns + Tile<T>::edge - 1) / Tile<T>::edge);
        if (tile >= side) is_second = true, j = tile - side;
    }
};

/// updated = decay old + scale sum for one tile.
template <class T>
__device__ void finish(const AccumulateQuasiDiagonal<T>& task, const TileSum& block, Tile<T>& tile) {
    const Column column(task, block.j);
    const Matrix<const T> old = (column.is_second ? task.second : task.first)[block.b];
    const Matrix<T> updated = (column.is_second ? task.updated_second : task.updated_first)[block.b];
    const MovingAverage<T> average(task.decay[block.b], task.scale ? task.scale + block.b : nullptr, task.R.N);
    const Index k0 = Index{block.i} * Tile<T>::edge, j0 = Index{column.j} * Tile<T>::edge;
    tile.for_each([&](int dk, int dj, T& sum) {
        const Index k = k0 + dk, j = j0 + dj;
        if (k < old.rows && j < old.columns) updated(k, j) = fma(average.add, sum, average.kept(old(k, j)));
    });
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    sum_powers(const TileSum* blocks, const AccumulateQuasiDiagonal<T>* tasks, T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    const AccumulateQuasiDiagonal<T>& task = tasks[block.task];  // not copied: it would take registers from the tile
    const Range range(task.R.count(), block.split, block.splits);
    const Column column(task, block.j);
    const BiasedRows<T> R(task.R, block.b, true), W(task.W, block.b, false);
    const Index k0 = Index{block.i} * Tile<T>::edge, j0 = Index{column.j} * Tile<T>::edge;
    const auto is_there = [&](Index r) { return r < range.end; };
    Tile<T> tile;
    tile.accumulate(
        range.end - range.begin, [&](T* to, Index step) { W.stage_as_steps(to, range.begin + step, 0, k0, is_there); },
        [&](T* to, Index step) {
            if (column.is_second)
                R.stage_squares_as_steps(to, range.begin + step, j0, is_there);
            else
                R.stage_as_steps(to, range.begin + step, 0, j0, is_there);
        });
    if (block.splits == 1) return finish(task, block, tile);
    store_partial_sum(tile, partial_sums + block.slot * slot_size<T>);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    join_powers(const TileSum* blocks, const AccumulateQuasiDiagonal<T>* tasks, const T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    Tile<T> tile;
    add_partial_sums(tile, partial_sums + block.slot * slot_size<T>, block.splits);
    finish(tasks[block.task], block, tile);
}

}  // namespace

template <class T>
void accumulate_quasi_diagonal(const Queue& queue, std::span<const AccumulateQuasiDiagonal<T>> group) {
    if (group.empty()) return;
    constexpr Index most_slots = (Index{64} << 20) / (slot_size<T> * sizeof(T));  // partial sums at a time
    const auto tasks = queue.copy_of(group);
    TileRound round;
    const auto run = [&] {
        const auto partial_sums = queue.scratch<T>(round.slots * slot_size<T>);
        launch_tiles<T>(queue, sum_powers<T>, round.sums, Tile<T>::shared_bytes, tasks.get(), partial_sums.get());
        launch_tiles<T>(queue, join_powers<T>, round.joins, 0, tasks.get(), partial_sums.get());
        round = {};
    };
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const int units = static_cast<int>(tiles_of<T>(group[t].first.rows));
        const int columns = 2 * static_cast<int>(tiles_of<T>(group[t].first.columns));
        const int splits = static_cast<int>(splits_of(Index{units} * columns, group[t].R.count()));
        for (int b = 0; b < counted(group[t].first.batch); ++b)
            for (int i = 0; i < units; ++i)
                for (int j = 0; j < columns; ++j) {
                    if (round.slots > 0 && round.slots + splits > most_slots) run();
                    if (splits > 1) round.joins.push_back({t, b, i, j, 0, splits, round.slots});
                    for (int s = 0; s < splits; ++s)
                        round.sums.push_back({t, b, i, j, s, splits, splits > 1 ? round.slots++ : Index{0}});
                }
    }
    if (!round.sums.empty()) run();
}

template void accumulate_quasi_diagonal(const Queue&, std::span<const AccumulateQuasiDiagonal<float>>);
template void accumulate_quasi_diagonal(const Queue&, std::span<const AccumulateQuasiDiagonal<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
