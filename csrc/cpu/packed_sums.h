// Second moments of many tiles: rows are packed once, by all threads, and then summed for all tiles.
#pragma once

#include "cpu/moment_group.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {

template <class Group>
class PackedSums {
  public:
    using T = typename Group::Value;
    using Plan = MomentPlan<T>;

    explicit PackedSums(const Group& group) : group_(group) {}

    void append(Index task, const Plan& plan) {
        for (Index b = 0; b < group_.tasks[task].updated.batch; ++b)
            for (Index p = 0; p < plan.passes; ++p) {
                const Index begin = p * plan.rows_per_pass, end = std::min(begin + plan.rows_per_pass, plan.rows);
                const Index size = packed_size(task, plan, end - begin);
                if (p > 0 || bytes<T>(packed_size_ + size) > Plan::shared_bytes) run();
                passes_.push_back({task, b, begin, end, packed_size_});
                packed_size_ += size;
            }
    }

    void run() {
        struct Packed;
        Scratch<Packed> shared(bytes<T>(packed_size_));
        packed_ = shared.template take<T>(packed_size_);
        std::vector<Item> packing, products;
        for (Index p = 0; p < static_cast<Index>(passes_.size()); ++p) {
            const Plan plan = group_.plan(passes_[p].task);
            const double strip = static_cast<double>(8 * plan.depth * plan.edge);
            for (Index k = 0; k < blocks(plan, passes_[p]) * plan.side; ++k) packing.push_back({p, 0, 1, k, strip});
            const double product = plan.tile_flops() / static_cast<double>(plan.passes);
            for (Index k = 0; k < plan.tiles; ++k) products.push_back({p, 0, 1, k, product});
        }
        group_.queue.run(packing, [&](const Item& item) { pack(passes_[item.task], item.part); });
        group_.queue.run(products, [&](const Item& item) { multiply(passes_[item.task], item.part); });
        passes_.clear(), packed_size_ = 0;
    }

    static Index scratch_bytes(const Plan& plan) { return bytes<T>(plan.tile_size()); }
    Index packed_bytes(Index task, const Plan& plan) const {
        return bytes<T>(packed_size(task, plan, std::min(plan.rows_per_pass, plan.rows)));
    }

  private:
    /// Rows of one matrix, from `packed` on as blocks of `depth` rows, each of all panels; where there are weights, a
    /// second time, times these.
    struct Pass {
        Index task, b, begin, end, packed;
    };

    static Index blocks(const Plan& plan, const Pass& pass) {
        return (pass.end - pass.begin + plan.depth - 1) / plan.depth;
    }
    Index block_size(const Plan& plan) const { return group_.tile.panels(plan.n) * plan.panel_stride; }
    Index packed_size(Index task, const Plan& plan, Index rows) const {
        return blocks(plan, {task, 0, 0, rows, 0}) * copies(task) * block_size(plan);
    }
    Index copies(Index task) const { return group_.source(task, 0).weighted() ? 2 : 1; }
    T* panels(const Plan& plan, const Pass& pass, Index block, Index copy) const {
        return packed_ + pass.packed + (block * copies(pass.task) + copy) * block_size(plan);
    }

    /// As many columns as a tile has, of one block of rows.
    void pack(const Pass& pass, Index part) const {
        const Plan plan = group_.plan(pass.task);
        const Index block = part / plan.side, first = part % plan.side * plan.edge;
        const Index begin = pass.begin + block * plan.depth, count = std::min(plan.depth, pass.end - begin);
        for (Index copy = 0; copy < copies(pass.task); ++copy) {
            const Panels<T> to{panels(plan, pass, block, copy), plan.ld, plan.panel_stride};
            group_.source(pass.task, pass.b)
                .pack(begin, count, first, std::min(plan.edge, plan.n - first), copy == 1,
                      group_.tile.from_column(to, first));
        }
    }

    void multiply(const Pass& pass, Index tile) const {
        const Plan plan = group_.plan(pass.task);
        const MomentTile at(plan, tile);
        Scratch<PackedSums> scratch(scratch_bytes(plan));
        T* const sums = scratch.template take<T>(plan.tile_size());
        if (pass.begin >= pass.end) std::fill_n(sums, plan.tile_size(), T(0));
        const Index count = blocks(plan, pass);
        for (Index k = 0; k < count; ++k) {
            const Strips now = strips(plan, pass, at, k);
            const Ahead ahead = k + 1 < count ? strips(plan, pass, at, k + 1).ahead(panels_bytes(plan)) : Ahead{};
            const Index rows = std::min(plan.depth, pass.end - pass.begin - k * plan.depth);
            group_.tile.multiply(Steps::line(rows), now.A, now.B, at.height, at.width, at.diagonal(), k > 0, sums,
                                 plan.edge, ahead);
        }
        group_.finish(pass.task, pass.b, TileSums<T>{sums, plan.edge, at}, pass.begin == 0, pass.end == plan.rows);
    }

    /// The packed columns that the rows and the columns of a tile are products of: on the diagonal the same.
    struct Strips {
        Panels<const T> A, B;

        Ahead ahead(Index bytes) const {
            return {.data = reinterpret_cast<const std::byte*>(B.data),
                    .runs = A.data == B.data ? 1 : 2,
                    .bytes = bytes,
                    .stride = (A.data - B.data) * static_cast<Index>(sizeof(T))};
        }
    };
    Strips strips(const Plan& plan, const Pass& pass, const MomentTile& at, Index block) const {
        const auto from = [&](Index copy, Index column) {
            const Panels<const T> all{panels(plan, pass, block, copy), plan.ld, plan.panel_stride};
            return group_.tile.from_column(all, column);
        };
        return {from(copies(pass.task) - 1, at.i0), from(0, at.j0)};
    }
    Index panels_bytes(const Plan& plan) const {
        return group_.tile.panels(plan.edge) * plan.panel_stride * static_cast<Index>(sizeof(T));
    }

    const Group& group_;
    std::vector<Pass> passes_;
    Index packed_size_ = 0;
    T* packed_ = nullptr;
};

}  // namespace curvblas::cpu
