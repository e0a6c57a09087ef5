#include "kernels/accumulate_quasi_diagonal.h"

#include <algorithm>

#include "core/moving_average.h"
#include "cpu/blocks.h"
#include "cpu/packed_product.h"
#include "cpu/rows.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

constexpr Index most_units = 256, most_columns = 64;  // of a tile
constexpr Index depth = 1024;                         // rows that are gathered and multiplied at a time
constexpr Index most_rows = 4096;                     // that are summed in T

/// The units [k0, k0 + height) and the columns [j0, j0 + width) of both moments that a tile covers. Depends on the
/// shape alone, so that the bits do not depend on the threads.
struct PowerTile {
    Index k0, height, j0, width;
};

/// How the moments of one matrix are cut.
struct Plan {
    Blocks units, columns;

    template <class T>
    explicit Plan(const AccumulateQuasiDiagonal<T>& task)
        : units(task.first.rows, most_units), columns(task.first.columns, most_columns) {}
    Index tiles() const { return units.count * columns.count; }
    PowerTile operator[](Index t) const {
        const Index k = t / columns.count, j = t % columns.count;
        return {units.begin(k), units.length(k), columns.begin(j), columns.length(j)};
    }
};

/// Adds the sums of the rows [begin, end) of one matrix to a tile: first moments on the left, second ones on the right.
template <class T>
void add_rows(const Micro& micro, const AccumulateQuasiDiagonal<T>& task, Index b, const PowerTile& tile, Index begin,
              Index end, const Matrix<T>& sums) {
    const BiasedRows<T> R(micro, task.R, b, true), W(micro, task.W, b, false);
    const Index width = tile.width, most = std::min(depth, end - begin);
    Scratch<PowerTile> scratch(bytes<T>(most * 2 * width) + bytes<T>(most * tile.height) +
                               bytes<T>(tile.height * 2 * width));
    T* const powers = scratch.template take<T>(most * 2 * width);
    T* const buffer = scratch.template take<T>(most * tile.height);
    const Matrix<T> product{scratch.template take<T>(tile.height * 2 * width), tile.height, 2 * width, 2 * width, 1};
    for (Index start = begin; start < end; start += depth) {
        const Index count = std::min(depth, end - start);
        for (Index r = 0; r < count; ++r) {
            T *const x = powers + r * 2 * width, *const squares = x + width;
            R.copy(start + r, tile.j0, width, x);
            for (Index j = 0; j < width; ++j) squares[j] = x[j] * x[j];
        }
        const Matrix<const T> weights = W.block(start, count, tile.k0, tile.height, buffer);
        multiply_packed<T>(micro.tile<T>(), transposed(weights), {powers, count, 2 * width, 2 * width, 1}, product);
        for (Index e = 0; e < product.rows * product.columns; ++e) sums.data[e] += product.data[e];
    }
}

/// The sums of all rows of one matrix in a tile.
template <class T>
void sum_rows(const Micro& micro, const AccumulateQuasiDiagonal<T>& task, Index b, const PowerTile& tile,
              const Matrix<T>& sums, double* totals) {
    const Index size = sums.rows * sums.columns, rows = task.R.count();
    std::fill_n(sums.data, size, T(0));
    add_rows(micro, task, b, tile, 0, std::min(rows, most_rows), sums);
    if (rows <= most_rows) return;
    std::copy_n(sums.data, size, totals);
    for (Index begin = most_rows; begin < rows; begin += most_rows) {
        std::fill_n(sums.data, size, T(0));
        add_rows(micro, task, b, tile, begin, std::min(begin + most_rows, rows), sums);
        for (Index e = 0; e < size; ++e) totals[e] += static_cast<double>(sums.data[e]);
    }
    for (Index e = 0; e < size; ++e) sums.data[e] = static_cast<T>(totals[e]);
}

/// updated = decay old + scale sum for one tile of both moments.
template <class T>
void average_tile(const AccumulateQuasiDiagonal<T>& task, Index b, const PowerTile& tile, const Matrix<T>& sums) {
    const MovingAverage<T> average(task.decay[b], task.scale ? task.scale + b : nullptr, task.R.N);
    const auto update = [&](const Matrix<const T>& old, const Matrix<T>& updated, Index offset) {
        for (Index k = 0; k < tile.height; ++k)
            for (Index j = 0; j < tile.width; ++j) {
                const Index row = tile.k0 + k, column = tile.j0 + j;
                updated(row, column) = average.kept(old(row, column)) + average.add * sums(k, offset + j);
            }
    };
    update(task.first[b], task.updated_first[b], 0);
    update(task.second[b], task.updated_second[b], tile.width);
}

}  // namespace

template <class T>
void accumulate_quasi_diagonal(const Queue& queue, std::span<const AccumulateQuasiDiagonal<T>> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Plan plan(group[t]);
        const double elements = static_cast<double>(plan.units.size * plan.columns.size);
        const double cost = 4 * elements * static_cast<double>(group[t].R.count()) + 8 * elements + 1000;
        if (plan.tiles() == 1) {
            Queue::append_batches(items, t, group[t].first.batch, cost);
            continue;
        }
        for (Index b = 0; b < group[t].first.batch; ++b)
            for (Index tile = 0; tile < plan.tiles(); ++tile) items.push_back({t, b, 1, tile, cost});
    }
    queue.run(items, [&](const Item& item) {
        const AccumulateQuasiDiagonal<T>& task = group[item.task];
        const PowerTile tile = Plan(task)[item.part];
        const Index size = tile.height * 2 * tile.width;
        Scratch<Plan> scratch(bytes<T>(size) + bytes<double>(size));
        const Matrix<T> sums{scratch.template take<T>(size), tile.height, 2 * tile.width, 2 * tile.width, 1};
        double* const totals = scratch.template take<double>(size);
        for (Index b = item.first; b < item.first + item.count; ++b) {
            sum_rows(queue.micro(), task, b, tile, sums, totals);
            average_tile(task, b, tile, sums);
        }
    });
}

template void accumulate_quasi_diagonal(const Queue&, std::span<const AccumulateQuasiDiagonal<float>>);
template void accumulate_quasi_diagonal(const Queue&, std::span<const AccumulateQuasiDiagonal<double>>);

}  // namespace curvblas::cpu
