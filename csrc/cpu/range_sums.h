// Second moments of few tiles: one item packs and sums rows for one tile, all of them or a range.
#pragma once

#include <atomic>

#include "cpu/moment_group.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {

template <class Group>
class RangeSums {
  public:
    using T = typename Group::Value;
    using Plan = MomentPlan<T>;

    explicit RangeSums(const Group& group) : group_(group) {}

    void append(Index task, const Plan& plan) {
        const Index batch = group_.tasks[task].updated.batch;
        if (whole(plan)) return Queue::append_batches(whole_, task, batch, plan.flops() + 500);
        for (Index b = 0; b < batch; ++b) append_ranges(task, b, plan);
    }
    void run() {
        run_ranges();
        run_whole();
    }

    Index scratch_bytes(Index task, const Plan& plan) const {
        return bytes<T>(sides(task, plan) * panels_size(plan)) + bytes<T>(sums_size(plan)) +
               bytes<double>(exact_size(plan));
    }
    static Index slots_bytes(const Plan& plan) { return whole(plan) ? 0 : plan.tiles * plan.ranges * slot_bytes(plan); }

  private:
    struct RangedTile {  ///< One that is summed in ranges, each in a slot of its own.
        Index task, b, index, slots;
    };
    /// Where rows are packed and summed.
    struct Room {
        T *panels, *sums;
        double* exact;
    };

    static bool whole(const Plan& plan) { return plan.tiles <= 1 && plan.ranges == 1; }
    static Index slot_bytes(const Plan& plan) {
        return plan.in_float64() ? bytes<double>(plan.tile_size()) : bytes<T>(plan.tile_size());
    }
    // Slots take the place of what an item sums in.
    static Index sums_size(const Plan& plan) { return whole(plan) || plan.in_float64() ? plan.tile_size() : 0; }
    static Index exact_size(const Plan& plan) { return whole(plan) && plan.in_float64() ? plan.tile_size() : 0; }
    Index panels_size(const Plan& plan) const { return group_.tile.panels(plan.edge) * plan.panel_stride; }
    Index sides(Index task, const Plan& plan) const {
        return plan.tiles > 1 || group_.source(task, 0).weighted() ? 2 : 1;
    }
    Room take_room(Scratch<RangeSums>& scratch, Index task, const Plan& plan) const {
        return {scratch.template take<T>(sides(task, plan) * panels_size(plan)),
                scratch.template take<T>(sums_size(plan)), scratch.template take<double>(exact_size(plan))};
    }

    /// The sums of rows [begin, end) for one tile, of leading dimension edge: in `exact` where in_float64(), else in
    /// `sums`.
    void sum(const typename Group::Source& source, const Plan& plan, const MomentTile& at, Index begin, Index end,
             const Room& room) const {
        const Panels<T> B{room.panels, plan.ld, plan.panel_stride};
        const bool one_side = at.diagonal() && !source.weighted();
        const Panels<T> A = one_side ? B : Panels<T>{room.panels + panels_size(plan), plan.ld, plan.panel_stride};
        const bool in_place = plan.n <= most_in_place && plan.n % group_.tile.granule == 0 && source.in_panels();
        Index summed = 0;
        bool first_exact = true;
        for (Index start = begin, next; start < end; start = next) {
            const Index count = std::min(plan.depth, end - start);
            next = start + count;
            Panels<const T> a{A.data, A.ld, A.stride}, b{B.data, B.ld, B.stride};
            if (in_place) {
                a = b = source.in_place(start);
            } else {
                source.pack(start, count, at.j0, at.width, false, B);
                if (!one_side) source.pack(start, count, at.i0, at.height, source.weighted(), A);
            }
            group_.tile.multiply(Steps::line(count), a, b, at.height, at.width, at.diagonal(), summed > 0, room.sums,
                                 plan.edge, source.ahead(next, std::min(plan.depth, end - next), at.j0, at.width));
            summed += count;
            if (plan.in_float64() && (summed >= Plan::exact_rows || next == end)) {
                add(TileSums<T>{room.sums, plan.edge, at}, first_exact, room.exact);
                first_exact = false, summed = 0;
            }
        }
        if (begin >= end && plan.in_float64()) std::fill_n(room.exact, plan.tile_size(), 0.0);
        if (begin >= end && !plan.in_float64()) std::fill_n(room.sums, plan.tile_size(), T(0));
    }

    template <class From>
    static void add(const TileSums<From>& sums, bool first, double* total) {
        for (Index i = 0; i < sums.at.height; ++i) {
            const From* const x = sums.data + i * sums.ld;
            double* const y = total + i * sums.ld;
            const Index width = sums.at.diagonal() ? i + 1 : sums.at.width;
            for (Index j = 0; j < width; ++j) y[j] = (first ? 0.0 : y[j]) + static_cast<double>(x[j]);
        }
    }

    void finish(Index task, Index b, const Plan& plan, const MomentTile& at, const Room& room) const {
        const auto hand_on = [&](const auto* sums) {
            const Index step = slot_bytes(plan) / static_cast<Index>(sizeof(*sums));
            group_.finish(task, b, TileSums{sums, plan.edge, at, plan.ranges, step});
        };
        plan.in_float64() ? hand_on(room.exact) : hand_on(room.sums);
    }

    void run_whole() {
        group_.queue.run(whole_, [&](const Item& item) {
            const Plan plan = group_.plan(item.task);
            const MomentTile at(plan, 0);
            Scratch<RangeSums> scratch(scratch_bytes(item.task, plan));
            const Room room = take_room(scratch, item.task, plan);
            for (Index b = item.first; b < item.first + item.count; ++b) {
                sum(group_.source(item.task, b), plan, at, 0, plan.rows, room);
                finish(item.task, b, plan, at, room);
            }
        });
    }

    void append_ranges(Index task, Index b, const Plan& plan) {
        if (slots_bytes_ + slots_bytes(plan) > Plan::shared_bytes) run_ranges();
        for (Index k = 0; k < plan.tiles; ++k) {
            const Index tile = static_cast<Index>(tiles_.size());
            for (Index r = 0; r < plan.ranges; ++r)
                ranges_.push_back({tile, 0, 1, r, plan.tile_flops() / static_cast<double>(plan.ranges)});
            tiles_.push_back({task, b, k, slots_bytes_});
            slots_bytes_ += plan.ranges * slot_bytes(plan);
        }
    }

    /// The item that ends the last range of a tile hands all of them on.
    void run_ranges() {
        struct Slots;
        Scratch<Slots> shared(slots_bytes_);
        std::byte* const slots = shared.template take<std::byte>(slots_bytes_);
        std::vector<std::atomic<Index>> ended(tiles_.size());
        group_.queue.run(ranges_, [&](const Item& item) {
            const RangedTile& tile = tiles_[item.task];
            const Plan plan = group_.plan(tile.task);
            const MomentTile at(plan, tile.index);
            Scratch<RangeSums> scratch(scratch_bytes(tile.task, plan));
            Room room = take_room(scratch, tile.task, plan);
            std::byte *const first = slots + tile.slots, *const own = first + item.part * slot_bytes(plan);
            if (plan.in_float64())
                room.exact = reinterpret_cast<double*>(own);
            else
                room.sums = reinterpret_cast<T*>(own);
            const Index begin = std::min(item.part * plan.rows_per_range, plan.rows);
            const Index end = std::min(begin + plan.rows_per_range, plan.rows);
            sum(group_.source(tile.task, tile.b), plan, at, begin, end, room);
            if (ended[item.task].fetch_add(1, std::memory_order_acq_rel) + 1 < plan.ranges) return;
            finish(tile.task, tile.b, plan, at,
                   {nullptr, reinterpret_cast<T*>(first), reinterpret_cast<double*>(first)});
        });
        ranges_.clear(), tiles_.clear(), slots_bytes_ = 0;
    }

    static constexpr Index most_in_place = 64;  // longer rows have too few of their lines in the cache at a time

    const Group& group_;
    std::vector<Item> whole_, ranges_;
    std::vector<RangedTile> tiles_;
    Index slots_bytes_ = 0;
};

}  // namespace curvblas::cpu
