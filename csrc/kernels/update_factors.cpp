#include "kernels/update_factors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

// A factor is cut into square tiles, of which the lower ones are computed. 192 is a multiple of every register tile.
// Two packed panels and the accumulator of a tile take 430 kB: they fit the second-level caches from 512 kB on.
constexpr Index edge = 192;
template <class T>
constexpr Index depth = 768 / static_cast<Index>(sizeof(T));  // rows packed at a time

// Both operands of a tile, packed; the narrowest register tile (4 rows) needs the most cache lines between its panels.
template <class T>
constexpr Index panels_size = 2 * (edge * depth<T> + edge / 4 * 64 / static_cast<Index>(sizeof(T)));

/// How one matrix is cut into items: by its tiles, and where these are few, by ranges of rows as well, whose partial
/// sums are added in the order of the ranges. Depends on the shape alone, so that the bits do not depend on the
/// threads.
struct Plan {
    Index n, rows, side, tiles, splits, rows_per_split;

    Plan(Index n_, Index rows_) : n(n_), rows(rows_), side((n_ + edge - 1) / edge), tiles(side * (side + 1) / 2) {
        constexpr double flops_per_split = 1.6e7, most_splits = 16;
        const double width = static_cast<double>(std::min(n, edge));
        const double flops = 2 * width * width * static_cast<double>(rows);
        splits = tiles >= 8 ? 1 : static_cast<Index>(std::clamp(flops / flops_per_split, 1.0, most_splits));
        rows_per_split = (rows + splits - 1) / splits;
    }
    double flops() const { return static_cast<double>(n) * static_cast<double>(n + 1) * static_cast<double>(rows + 1); }
};

/// The rows [i0, i0 + height) and columns [j0, j0 + width) of the lower triangle that tile `t` covers.
struct TileRange {
    Index i0, j0, height, width;

    TileRange(const Plan& plan, Index t) {
        Index i = 0;
        while ((i + 1) * (i + 2) / 2 <= t) ++i;
        i0 = i * edge, j0 = (t - i * (i + 1) / 2) * edge;
        height = std::min(edge, plan.n - i0), width = std::min(edge, plan.n - j0);
    }
    bool diagonal() const { return i0 == j0; }
};

/// Widens `count` contiguous 2-byte floats.
template <class T>
void widen(const Micro& micro, DType dtype, Index count, const std::uint16_t* x, T* y) {
    const auto convert = dtype == DType::float16 ? micro.widen_float16 : micro.widen_bfloat16;
    if constexpr (sizeof(T) == 4) {
        convert(count, x, y);
    } else {
        float wide[edge];
        convert(count, x, wide);
        std::copy_n(wide, count, y);
    }
}

/// Elements [first, first + count) of one row as T, contiguous: in place where they lie so, else in `buffer`.
template <class T>
const T* elements(const Micro& micro, const Rows& R, const void* row, Index first, Index count, T* buffer) {
    const Index stride = R.d_stride;
    const auto gather = [&](const auto* x, auto* y) {
        for (Index j = 0; j < count; ++j)
            y[j] = static_cast<std::remove_pointer_t<decltype(y)>>(x[(first + j) * stride]);
    };
    if (R.dtype == dtype_of<T> && stride == 1) return static_cast<const T*>(row) + first;
    if (R.dtype == DType::float32) {
        gather(static_cast<const float*>(row), buffer);
    } else if (R.dtype == DType::float64) {
        gather(static_cast<const double*>(row), buffer);
    } else if (stride == 1) {
        widen(micro, R.dtype, count, static_cast<const std::uint16_t*>(row) + first, buffer);
    } else {
        std::uint16_t gathered[edge] = {};
        gather(static_cast<const std::uint16_t*>(row), gathered);
        widen(micro, R.dtype, count, gathered, buffer);
    }
    return buffer;
}

/// Rows of one task, with the implicit 1 of the bias appended.
template <class T>
class BiasedRows {
  public:
    BiasedRows(const Micro& micro, const UpdateFactors<T>& task, Index b) : micro_(micro), task_(task), b_(b) {}

    /// Columns [first, first + count) of row r.
    const T* segment(Index r, Index first, Index count, T* buffer) const {
        const Rows& R = task_.R;
        const Index stored = std::min(count, R.d - first);
        const T* x = elements(micro_, R, R.row(b_, r), first, stored, buffer);
        if (stored == count) return x;
        if (x != buffer) std::copy_n(x, stored, buffer);
        buffer[stored] = 1;
        return buffer;
    }
    T weight(Index r) const {
        if (!task_.w.data) return 1;
        T buffer;
        return *elements(micro_, task_.w, task_.w.row(b_, r), 0, 1, &buffer);
    }

  private:
    const Micro& micro_;
    const UpdateFactors<T>& task_;
    Index b_;
};

constexpr Index round_up(Index n, Index multiple) { return (n + multiple - 1) / multiple * multiple; }

// From one panel to the next in packed memory: a cache line more than a panel, so that the panels of one row, which are
// written together, do not fall into the same few cache sets.
template <class T>
constexpr Index panel_stride(Index panel) {
    return depth<T> * panel + 64 / static_cast<Index>(sizeof(T));
}

/// sum = sum of w_r x_r x_r^T over rows [begin, end), restricted to one tile; sum has leading dimension `edge`.
template <class T>
void sum_tile(const Tile<T>& tile, const BiasedRows<T>& rows, const TileRange& range, Index begin, Index end, T* panels,
              T* sum) {
    const Index height = round_up(range.height, tile.rows), width = round_up(range.width, tile.columns);
    for (Index i = 0; i < height; ++i) std::fill_n(sum + i * edge, width, T(0));
    const Index A_stride = panel_stride<T>(tile.rows), B_stride = panel_stride<T>(tile.columns);
    T* const A = panels;
    T* const B = panels + panels_size<T> / 2;
    T buffer[edge];
    for (Index start = begin; start < end; start += depth<T>) {
        const Index count = std::min(depth<T>, end - start);
        for (Index k = 0; k < count; ++k) {
            const T* x = rows.segment(start + k, range.j0, range.width, buffer);
            tile.pack_columns(range.width, x, B_stride, B + k * tile.columns);
            if (!range.diagonal()) x = rows.segment(start + k, range.i0, range.height, buffer);
            tile.pack_rows(range.height, rows.weight(start + k), x, A_stride, A + k * tile.rows);
        }
        for (Index j = 0; j < width; j += tile.columns)
            for (Index i = 0; i < height; i += tile.rows)
                if (range.i0 + i + tile.rows > range.j0 + j)  // it touches the lower triangle
                    tile.multiply(count, A + i / tile.rows * A_stride, B + j / tile.columns * B_stride,
                                  sum + i * edge + j, edge);
    }
}

template <class T>
double scale_of(const UpdateFactors<T>& task, Index b) {
    if (task.scale) return task.scale[b];
    return task.R.N > 0 ? (1 - task.decay[b]) / static_cast<double>(task.R.N) : 0;
}

/// updated = decay C + scale sum for the lower part of one tile, and its mirror image.
template <class T>
void finish_tile(const UpdateFactors<T>& task, Index b, const TileRange& range, const T* sum) {
    const Matrix<const T> C = task.C[b];
    const Matrix<T> updated = task.updated[b];
    double decay = task.decay[b], scale = scale_of(task, b);
    const bool valid = decay >= 0 && decay <= 1 && std::isfinite(scale);
    if (!valid) decay = 0, scale = std::numeric_limits<double>::quiet_NaN();
    const T keep = static_cast<T>(decay), add = static_cast<T>(scale);
    constexpr Index block =
        16;  // the mirror image is written along columns: a block of both fits the first-level cache
    for (Index ib = 0; ib < range.height; ib += block)
        for (Index jb = 0; jb < range.width; jb += block)
            for (Index i = ib; i < std::min(ib + block, range.height); ++i) {
                const Index row = range.i0 + i;
                const Index end = std::min({jb + block, range.width, row - range.j0 + 1});
                for (Index j = jb; j < end; ++j) {
                    const Index column = range.j0 + j;
                    const T old = keep == 0 ? T(0) : keep * C(row, column);
                    updated(row, column) = updated(column, row) = old + add * sum[i * edge + j];
                }
            }
}

template <class T>
constexpr Index panel_bytes = padded(panels_size<T> * static_cast<Index>(sizeof(T)));
template <class T>
constexpr Index sum_bytes = edge * edge * static_cast<Index>(sizeof(T));

/// The matrices whose rows are summed in ranges: their items, and how many partial sums these need at once.
struct SplitItems {
    std::vector<Item> sums, joins;  // `count` is the number of an item's (first) partial sum
    Index slots = 0;

    void append(Index task, Index b, const Plan& plan, double cost) {
        for (Index tile = 0; tile < plan.tiles; ++tile) {
            joins.push_back({task, b, slots, tile, cost / 100});
            for (Index s = 0; s < plan.splits; ++s)
                sums.push_back({task, b, slots++, tile * plan.splits + s, cost / static_cast<double>(plan.splits)});
        }
    }
};

template <class T>
void run_split(const Queue& queue, std::span<const UpdateFactors<T>> group, SplitItems& items) {
    Scratch<SplitItems> shared(items.slots * sum_bytes<T>);
    T* const sums = shared.template take<T>(items.slots * edge * edge);
    queue.run(items.sums, [&](const Item& item) {
        const auto& task = group[item.task];
        const Plan plan(task.updated.rows, task.R.count());
        Scratch<T> scratch(panel_bytes<T>);
        const Index begin = std::min(item.part % plan.splits * plan.rows_per_split, plan.rows);
        const Index end = std::min(begin + plan.rows_per_split, plan.rows);
        sum_tile(queue.micro().tile<T>(), BiasedRows<T>(queue.micro(), task, item.first),
                 TileRange(plan, item.part / plan.splits), begin, end, scratch.template take<T>(panels_size<T>),
                 sums + item.count * edge * edge);
    });
    queue.run(items.joins, [&](const Item& item) {
        const auto& task = group[item.task];
        const Plan plan(task.updated.rows, task.R.count());
        const TileRange range(plan, item.part);
        T* const sum = sums + item.count * edge * edge;
        for (Index s = 1; s < plan.splits; ++s)
            for (Index i = 0; i < range.height; ++i)
                for (Index j = 0; j < range.width; ++j) sum[i * edge + j] += sum[(s * edge + i) * edge + j];
        finish_tile(task, item.first, range, sum);
    });
    items = {};
}

}  // namespace

template <class T>
void update_factors(const Queue& queue, std::span<const UpdateFactors<T>> group) {
    constexpr Index most_slots = (Index{32} << 20) / sum_bytes<T>;
    std::vector<Item> whole;  // tiles that sum all rows in one go
    SplitItems split;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Plan plan(group[t].updated.rows, group[t].R.count());
        const double cost = plan.flops() / static_cast<double>(std::max<Index>(plan.tiles, 1));
        if (plan.tiles == 1 && plan.splits == 1) {
            Queue::append_batches(whole, t, group[t].updated.batch, cost + 500);
            continue;
        }
        for (Index b = 0; b < group[t].updated.batch; ++b) {
            if (plan.splits > 1) split.append(t, b, plan, cost);
            if (split.slots >= most_slots) run_split(queue, group, split);
            for (Index tile = 0; plan.splits == 1 && tile < plan.tiles; ++tile) whole.push_back({t, b, 1, tile, cost});
        }
    }
    if (split.slots > 0) run_split(queue, group, split);
    queue.run(whole, [&](const Item& item) {
        const auto& task = group[item.task];
        const Plan plan(task.updated.rows, task.R.count());
        const TileRange range(plan, item.part);
        Scratch<T> scratch(panel_bytes<T> + sum_bytes<T>);
        T* const panels = scratch.template take<T>(panels_size<T>);
        T* const sum = scratch.template take<T>(edge * edge);
        for (Index b = item.first; b < item.first + item.count; ++b) {
            sum_tile(queue.micro().tile<T>(), BiasedRows<T>(queue.micro(), task, b), range, 0, plan.rows, panels, sum);
            finish_tile(task, b, range, sum);
        }
    });
}

template void update_factors(const Queue&, std::span<const UpdateFactors<float>>);
template void update_factors(const Queue&, std::span<const UpdateFactors<double>>);

}  // namespace curvblas::cpu
