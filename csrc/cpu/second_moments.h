// updated = decay C + scale sum_r w_r x_r x_r^T for all matrices of a group, wherever their rows x_r come from: rows in
// memory (update_factors) or the patches of a convolution. Half the products, one work list, the same bits for any
// number of threads.
#pragma once

#include <algorithm>
#include <type_traits>

#include "core/moving_average.h"
#include "cpu/queue.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {

/// How one matrix is cut into items: into square tiles, of which the lower ones are computed, and where these are few,
/// into ranges of rows as well. Depends on shape, dtype and instruction set alone, so that the bits do not depend on
/// the threads or on the rest of the group.
struct MomentPlan {
    Index n, rows, edge, side, tiles, ranges, rows_per_range;

    template <class T>
    MomentPlan(const Tile<T>& tile, Index n_, Index rows_) : n(n_), rows(rows_) {
        side = (n + tile.most_edge - 1) / tile.most_edge;
        edge = side > 1 ? round_up((n + side - 1) / side, tile.panel_columns) : tile.padded(n);
        side = edge > 0 ? (n + edge - 1) / edge : 0, tiles = side * (side + 1) / 2;
        // A range costs two passes over its sums, which shows where it has few rows, and memory for them.
        constexpr double least_flops = 8e6, least_rows = 1024, some_ranges = 4, most_ranges = 32;
        const double width = static_cast<double>(std::min(n, edge)), count = static_cast<double>(rows);
        const double useful = std::min(2 * width * width * count / least_flops, count / least_rows);
        const double affordable = std::clamp(count / (32 * width), some_ranges, most_ranges);
        ranges = tiles >= 8 || n == 0 ? 1 : static_cast<Index>(std::clamp(useful, 1.0, affordable));
        rows_per_range = (rows + ranges - 1) / ranges;
    }
    /// The elements of the sums of a tile.
    Index tile_size() const { return edge * edge; }
    double flops() const { return static_cast<double>(n) * static_cast<double>(n + 1) * static_cast<double>(rows + 1); }

    static Index round_up(Index count, Index multiple) { return (count + multiple - 1) / multiple * multiple; }
};

/// The rows [i0, i0 + height) and columns [j0, j0 + width) of the lower triangle that tile `t` covers.
struct MomentTile {
    Index i0, j0, height, width;

    MomentTile(const MomentPlan& plan, Index t) {
        Index i = 0;
        while ((i + 1) * (i + 2) / 2 <= t) ++i;
        i0 = i * plan.edge, j0 = (t - i * (i + 1) / 2) * plan.edge;
        height = std::min(plan.edge, plan.n - i0), width = std::min(plan.edge, plan.n - j0);
    }
    bool diagonal() const { return i0 == j0; }
};

/// `Source` is what the rows of one matrix come from. It is made of (tile, task, matrix of the task), and has
/// - Index rows(), bool weighted(), MovingAverage<T> average();
/// - void pack(Index begin, Index count, Index first, Index columns, bool weighted, const Panels<T>& to): columns
///   [first, first + columns) of rows [begin, begin + count), the implicit 1 of a bias included.
/// - Index index(Index column): where a packed column stands in the matrix.
/// - bool in_panels(): rows lie in memory as panels do, and in_place(begin) are those from row `begin` on.
/// A `Task` has `C` and `updated`, stacks of n x n matrices.
template <class T, class Task, class Source>
class SecondMoments {
  public:
    SecondMoments(const Queue& queue, std::span<const Task> group)
        : queue_(queue), group_(group), tile_(queue.micro().tile<T>()) {}

    void run() {
        for (Index t = 0; t < static_cast<Index>(group_.size()); ++t) {
            const Index batch = group_[t].updated.batch;
            if (batch == 0) continue;
            const MomentPlan plan = plan_of(t);
            const double cost = plan.flops() / static_cast<double>(std::max<Index>(plan.tiles, 1));
            if (plan.tiles == 1 && plan.ranges == 1) {
                Queue::append_batches(whole_, t, batch, cost + 500);
                continue;
            }
            for (Index b = 0; b < batch; ++b) {
                if (plan.ranges > 1) append_ranges(t, b, plan, cost);
                if (slots_size_ * static_cast<Index>(sizeof(double)) >= most_slots_bytes) run_ranges();
                for (Index k = 0; plan.ranges == 1 && k < plan.tiles; ++k) whole_.push_back({t, b, 1, k, cost});
            }
        }
        if (slots_size_ > 0) run_ranges();
        run_whole();
    }

    /// The scratch that run() holds at a time, over all threads.
    Index workspace_bytes() const {
        Index most = 0, slots = 0;
        for (Index t = 0; t < static_cast<Index>(group_.size()); ++t) {
            const MomentPlan plan = plan_of(t);
            most = std::max(most, scratch_bytes(plan));
            const Index batch = plan.ranges > 1 ? group_[t].updated.batch : 0;
            slots += batch * plan.tiles * plan.ranges * plan.tile_size() * static_cast<Index>(sizeof(double));
        }
        return most * Pool::instance().threads() + std::min(slots, most_slots_bytes);
    }

  private:
    static constexpr Index most_slots_bytes = Index{64} << 20;  // and what one more matrix takes
    /// Rows that float32 sums run over before they are added to float64 ones, so that long sums stay exact to 1e-6.
    static constexpr Index exact_rows = 4096;
    static constexpr Index panel_bytes = 24 << 10;  // of a panel that stays in the first-level cache
    static constexpr Index most_depth = 512;
    static constexpr Index most_in_place = 64;  // longer rows have too few of their lines in the cache at a time

    MomentPlan plan_of(Index t) const {
        return MomentPlan(tile_, group_[t].updated.rows, Source(tile_, group_[t], 0).rows());
    }
    /// The rows that are packed at a time.
    Index depth(const MomentPlan& plan) const {
        const Index row_bytes = tile_.panel_ld(std::min(plan.n, plan.edge)) * static_cast<Index>(sizeof(T));
        return std::min(panel_bytes / std::max<Index>(row_bytes, 1), most_depth);
    }
    // A cache line more than the panel, so that the panels of one row do not fall into the same few cache sets.
    Index panel_stride(const MomentPlan& plan) const {
        return depth(plan) * tile_.panel_ld(std::min(plan.n, plan.edge)) + 64 / static_cast<Index>(sizeof(T));
    }
    Index panels_size(const MomentPlan& plan) const { return tile_.panels(plan.edge) * panel_stride(plan); }
    Index scratch_bytes(const MomentPlan& plan) const {
        return padded(2 * panels_size(plan) * static_cast<Index>(sizeof(T))) +
               padded(plan.tile_size() * static_cast<Index>(sizeof(T))) +
               padded(plan.tile_size() * static_cast<Index>(sizeof(double)));
    }

    /// Sums the rows [begin, end) for one tile and hands the sums, of leading dimension edge, to use().
    template <class Use>
    void sum(const Source& source, const MomentPlan& plan, const MomentTile& at, Index begin, Index end,
             const Use& use) const {
        Scratch<SecondMoments> scratch(scratch_bytes(plan));
        T* const packed = scratch.template take<T>(2 * panels_size(plan));
        T* const sums = scratch.template take<T>(plan.tile_size());
        double* const exact = scratch.template take<double>(plan.tile_size());
        const Index ld = tile_.panel_ld(std::min(plan.n, plan.edge));
        const Panels<T> B{packed, ld, panel_stride(plan)};
        const bool one_side = at.diagonal() && !source.weighted();
        const Panels<T> A = one_side ? B : Panels<T>{packed + panels_size(plan), ld, panel_stride(plan)};
        const bool in_place = plan.n <= most_in_place && plan.n % tile_.granule == 0 && source.in_panels();
        const bool in_float64 = std::is_same_v<T, float> && end - begin > exact_rows;
        Index summed = 0;
        bool first_exact = true;
        for (Index start = begin; start < end; start += depth(plan)) {
            const Index count = std::min(depth(plan), end - start);
            Panels<const T> a{A.data, A.ld, A.stride}, b{B.data, B.ld, B.stride};
            if (in_place) {
                a = b = source.in_place(start);
            } else {
                source.pack(start, count, at.j0, at.width, false, B);
                if (!one_side) source.pack(start, count, at.i0, at.height, source.weighted(), A);
            }
            tile_.multiply(Steps::line(count), a, b, at.height, at.width, at.diagonal(), summed > 0, sums, plan.edge);
            summed += count;
            if (in_float64 && (summed >= exact_rows || start + count == end)) {
                add(at, plan, sums, first_exact, exact);
                first_exact = false, summed = 0;
            }
        }
        if (begin == end) std::fill_n(sums, plan.tile_size(), T(0));
        in_float64 ? use(static_cast<const double*>(exact)) : use(static_cast<const T*>(sums));
    }

    template <class From>
    static void add(const MomentTile& at, const MomentPlan& plan, const From* sums, bool first, double* total) {
        for (Index i = 0; i < at.height; ++i) {
            const From* const x = sums + i * plan.edge;
            double* const y = total + i * plan.edge;
            const Index width = at.diagonal() ? i + 1 : at.width;
            for (Index j = 0; j < width; ++j) y[j] = (first ? 0.0 : y[j]) + static_cast<double>(x[j]);
        }
    }

    /// updated = keep C + add sums for the lower part of one tile, and its mirror image.
    template <class S>
    void finish(const Task& task, Index b, const MomentPlan& plan, const MomentTile& at, const S* sums) const {
        const Matrix<const T> C = task.C[b];
        const Matrix<T> updated = task.updated[b];
        const Source source(tile_, task, b);
        const MovingAverage<T> average = source.average();
        constexpr Index block = 16;  // the mirror image goes along columns: a block of both fits the first-level cache
        for (Index ib = 0; ib < at.height; ib += block)
            for (Index jb = 0; jb < at.width; jb += block)
                for (Index i = ib; i < std::min(ib + block, at.height); ++i) {
                    const Index end = std::min({jb + block, at.width, at.i0 + i - at.j0 + 1});
                    const Index one = source.index(at.i0 + i);
                    for (Index j = jb; j < end; ++j) {
                        const Index other = source.index(at.j0 + j);
                        const Index row = std::max(one, other), column = std::min(one, other);
                        updated(row, column) = updated(column, row) = static_cast<T>(
                            average.kept(C(row, column)) + static_cast<S>(average.add) * sums[i * plan.edge + j]);
                    }
                }
    }

    void append_ranges(Index task, Index b, const MomentPlan& plan, double cost) {
        for (Index k = 0; k < plan.tiles; ++k) {
            joins_.push_back({task, b, slots_size_, k, cost / 100});
            for (Index r = 0; r < plan.ranges; ++r, slots_size_ += plan.tile_size())
                ranges_.push_back({task, b, slots_size_, k * plan.ranges + r, cost / static_cast<double>(plan.ranges)});
        }
    }

    /// The matrices whose rows are summed in ranges: first all ranges, each in float64 slots of its own (`count` of an
    /// item says where), then the slots of a tile in their order.
    void run_ranges() {
        struct Slots;
        Scratch<Slots> shared(padded(slots_size_ * static_cast<Index>(sizeof(double))));
        double* const slots = shared.template take<double>(slots_size_);
        queue_.run(ranges_, [&](const Item& item) {
            const MomentPlan plan = plan_of(item.task);
            const MomentTile at(plan, item.part / plan.ranges);
            const Index begin = std::min(item.part % plan.ranges * plan.rows_per_range, plan.rows);
            sum(Source(tile_, group_[item.task], item.first), plan, at, begin,
                std::min(begin + plan.rows_per_range, plan.rows),
                [&](const auto* sums) { add(at, plan, sums, true, slots + item.count); });
        });
        queue_.run(joins_, [&](const Item& item) {
            const MomentPlan plan = plan_of(item.task);
            const MomentTile at(plan, item.part);
            double* const total = slots + item.count;
            for (Index r = 1; r < plan.ranges; ++r) add(at, plan, total + r * plan.tile_size(), false, total);
            finish(group_[item.task], item.first, plan, at, total);
        });
        ranges_.clear(), joins_.clear(), slots_size_ = 0;
    }

    void run_whole() {
        queue_.run(whole_, [&](const Item& item) {
            const Task& task = group_[item.task];
            const MomentPlan plan = plan_of(item.task);
            const MomentTile at(plan, item.part);
            for (Index b = item.first; b < item.first + item.count; ++b)
                sum(Source(tile_, task, b), plan, at, 0, plan.rows,
                    [&](const auto* sums) { finish(task, b, plan, at, sums); });
        });
    }

    const Queue& queue_;
    std::span<const Task> group_;
    const Tile<T>& tile_;
    std::vector<Item> whole_, ranges_, joins_;
    Index slots_size_ = 0;
};

}  // namespace curvblas::cpu
