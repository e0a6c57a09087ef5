#include "kernels/update_lagged_factors.h"

#include <algorithm>
#include <vector>

#include "cuda/rows.cuh"
#include "cuda/second_moments.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int edge = 64;

/// updated = decay C + scale sum for one tile, and its mirror image where C is symmetric.
template <class T>
__device__ void finish(const UpdateLaggedFactors<T>& task, const TileSum& block, Tile<T>& tile) {
    const Matrix<const T> C = task.C[block.b];
    const Matrix<T> updated = task.updated[block.b];
    const bool symmetric = task.symmetric;
    const MovingAverage<T> average(task.decay[block.b], task.scale ? task.scale + block.b : nullptr, task.R.count());
    const T add = symmetric ? average.add / 2 : average.add;
    tile.for_each([&](int di, int dj, T& sum) {
        const Index i = Index{block.i} * edge + di, j = Index{block.j} * edge + dj;
        if (i >= C.rows || j >= C.rows || (symmetric && j > i)) return;
        const T value = fma(add, sum, average.kept(C(i, j)));
        updated(i, j) = value;
        if (symmetric && i != j) updated(j, i) = value;
    });
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    sum_pairs(const TileSum* blocks, const UpdateLaggedFactors<T>* tasks, T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    const UpdateLaggedFactors<T>& task = tasks[block.task];  // not copied: it would take registers from the tile
    const Index positions = task.R.T, lag = task.lag;
    const Index rows = lag < positions ? task.R.count() : 0, per_split = (rows + block.splits - 1) / block.splits;
    const Index begin = min(block.split * per_split, rows), end = min(begin + per_split, rows);
    const Index i0 = Index{block.i} * edge, j0 = Index{block.j} * edge;
    const BiasedRows<T> R(task.R, block.b, task.bias);
    // The last `lag` rows of a sequence have no partner in it. Both rows of what is no pair are zeros: a row of another
    // sequence, which may hold NaN, must not be multiplied, even by zero.
    const auto is_pair = [&](Index r) { return r < end && r % positions < positions - lag; };
    const auto stage = [&](Index offset, Index first_column) {
        return [&, offset, first_column](T* to, Index k0) {
            R.stage_as_steps(to, begin + k0, offset, first_column, is_pair);
        };
    };
    Tile<T> tile;
    tile.accumulate(end - begin, stage(lag, i0), stage(0, j0));
    if (task.symmetric) tile.accumulate(end - begin, stage(0, i0), stage(lag, j0));
    if (block.splits == 1) return finish(task, block, tile);
    store_partial_sum(tile, partial_sums + block.slot * slot_size<T>);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    join_pairs(const TileSum* blocks, const UpdateLaggedFactors<T>* tasks, const T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    Tile<T> tile;
    add_partial_sums(tile, partial_sums + block.slot * slot_size<T>, block.splits);
    finish(tasks[block.task], block, tile);
}

}  // namespace

template <class T>
void update_lagged_factors(const Queue& queue, std::span<const UpdateLaggedFactors<T>> group) {
    static_assert(Tile<T>::edge == edge);
    constexpr Index most_slots = (Index{64} << 20) / (slot_size<T> * sizeof(T));  // partial sums at a time
    const auto tasks = queue.copy_of(group);
    std::vector<TileSum> sums, joins;
    Index slots = 0;
    const auto run = [&] {
        const auto partial_sums = queue.scratch<T>(slots * slot_size<T>);
        launch_tiles<T>(queue, sum_pairs<T>, sums, Tile<T>::shared_bytes, tasks.get(), partial_sums.get());
        launch_tiles<T>(queue, join_pairs<T>, joins, 0, tasks.get(), partial_sums.get());
        sums.clear(), joins.clear(), slots = 0;
    };
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const bool symmetric = group[t].symmetric;
        const int side = static_cast<int>(tiles_of<T>(group[t].updated.rows));
        const Index tiles = symmetric ? Index{side} * (side + 1) / 2 : Index{side} * side;
        const int splits = static_cast<int>(splits_of(tiles, group[t].R.count()));
        for (int b = 0; b < counted(group[t].updated.batch); ++b)
            for (int i = 0; i < side; ++i)
                for (int j = 0; j < (symmetric ? i + 1 : side); ++j) {
                    if (slots > 0 && slots + splits > most_slots) run();
                    if (splits > 1) joins.push_back({t, b, i, j, 0, splits, slots});
                    for (int s = 0; s < splits; ++s)
                        sums.push_back({t, b, i, j, s, splits, splits > 1 ? slots++ : Index{0}});
                }
    }
    if (!sums.empty()) run();
}

template void update_lagged_factors(const Queue&, std::span<const UpdateLaggedFactors<float>>);
template void update_lagged_factors(const Queue&, std::span<const UpdateLaggedFactors<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
