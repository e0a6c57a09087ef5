// What the kernels share that sum products of rows with themselves into a symmetric matrix, one tile of its lower
// triangle a block.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "core/moving_average.h"
#include "cuda/element.cuh"
#include "cuda/tile.cuh"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Tile (i, j), j <= i, of matrix b of a task, or its part from one of `splits` ranges of rows. Partial sum number
/// `slot` is its own; for the join it is that of split 0.
struct TileSum {
    int task, b, i, j, split, splits;
    Index slot;
};

template <class T>
constexpr Index tiles_of(Index n) {
    return (n + Tile<T>::edge - 1) / Tile<T>::edge;
}

/// Elements of a partial sum.
template <class T>
constexpr Index slot_size = Index{Tile<T>::edge} * Tile<T>::edge;

/// Row `begin` to before row `end`: one of `splits` ranges.
struct Range {
    Index begin, end;

    __device__ Range(Index rows, int split, int splits) {
        const Index each = (rows + splits - 1) / splits;
        begin = min(split * each, rows), end = min(begin + each, rows);
    }
};

/// In how many ranges so many rows are summed: as many as wanted, but none longer than float32 sums may be.
inline Index ranges_of(Index rows, Index wanted) {
    constexpr Index most_rows = 4096;
    return std::max(wanted, (rows + most_rows - 1) / most_rows);
}

/// In how many ranges a factor of so many tiles is summed, so that small factors of many rows occupy the device too.
inline Index splits_of(Index tiles, Index rows) {
    constexpr Index rows_per_split = 2048, enough_tiles = 64;
    const Index wanted = std::min(rows / rows_per_split, enough_tiles / std::max<Index>(tiles, 1));
    return std::max<Index>(ranges_of(rows, wanted), 1);
}

template <class T>
__device__ void store_partial_sum(Tile<T>& tile, T* slot) {
    tile.for_each([&](int i, int j, T& sum) { slot[i * Tile<T>::edge + j] = sum; });
}

/// Adds `count` partial sums to the tile, in their order and in float64.
template <class T>
__device__ void add_partial_sums(Tile<T>& tile, const T* slots, Index count) {
    tile.for_each([&](int i, int j, T& sum) {
        const T* const own = slots + i * Tile<T>::edge + j;
        double total = sum;
        for (Index s = 0; s < count; ++s) total += static_cast<double>(own[s * slot_size<T>]);
        sum = static_cast<T>(total);
    });
}

/// updated = keep C + add sum for tile (i0, j0) of the lower triangle, and its mirror image.
template <class T>
__device__ void finish_tile(Tile<T>& tile, const MovingAverage<T>& average, const Matrix<const T>& C,
                            const Matrix<T>& updated, int i0, int j0) {
    tile.for_each([&](int di, int dj, T& sum) {
        const Index i = Index{i0} * Tile<T>::edge + di, j = Index{j0} * Tile<T>::edge + dj;
        if (i >= C.rows || j > i) return;
        updated(i, j) = updated(j, i) = fma(average.add, sum, average.kept(C(i, j)));
    });
}

/// What is launched together, and the partial sums that lie between its two launches.
struct TileRound {
    std::vector<TileSum> sums, joins;
    Index slots = 0;
};

/// Calls run(round) for the tiles of a group, a round holding at most `most_slots` partial sums, or those of one tile.
/// splits_of(task) is how many ranges of rows a task is summed in; it must depend on the shape alone.
template <class T, class Task, class SplitsOf, class Run>
void for_each_round(std::span<const Task> group, Index most_slots, const SplitsOf& splits_of, const Run& run) {
    TileRound round;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const int side = static_cast<int>(tiles_of<T>(group[t].updated.rows));
        const int splits = static_cast<int>(splits_of(group[t]));
        const int slots = splits > 1 ? splits : 0;
        for (int b = 0; b < counted(group[t].updated.batch); ++b)
            for (int i = 0; i < side; ++i)
                for (int j = 0; j <= i; ++j) {
                    if (round.slots > 0 && round.slots + slots > most_slots) run(std::exchange(round, {}));
                    if (slots) round.joins.push_back({t, b, i, j, 0, splits, round.slots});
                    for (int s = 0; s < splits; ++s)
                        round.sums.push_back({t, b, i, j, s, splits, slots ? round.slots + s : 0});
                    round.slots += slots;
                }
    }
    if (!round.sums.empty()) run(round);
}

/// One block of a tile's threads for each entry of a table.
template <class T, class Entry, class... Parameters, class... Arguments>
void launch_tiles(const Queue& queue, void (*kernel)(Parameters...), const std::vector<Entry>& table,
                  std::size_t shared_bytes, const Arguments&... arguments) {
    if (table.empty()) return;
    const auto copy = queue.copy_of(std::span<const Entry>(table));
    launch(kernel, dim3(grid_for(table)), dim3(Tile<T>::threads), shared_bytes, queue.stream(), copy.get(),
           arguments...);
}

}  // namespace curvblas::CURVBLAS_BACKEND
