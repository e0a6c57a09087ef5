// How the sum of outer products of one matrix is cut into items. See second_moments.h.
#pragma once

#include <algorithm>

#include "cpu/tiles.h"

namespace curvblas::cpu {

/// Depends on shape, dtype and instruction set alone, so that the bits do not depend on the threads or on the rest of
/// the group.
template <class T>
struct MomentPlan {
    Index n, rows;
    Index edge, side, tiles;               // of the square tiles, of which the lower ones are computed
    Index ranges = 1, rows_per_range = 0;  // of rows, each summed apart, where tiles are few
    Index passes = 1, rows_per_pass = 0;   // of rows that are packed once for all tiles, where tiles are many
    Index depth, ld, panel_stride;         // of panels: rows that are packed at a time; see Panels

    /// `most_packed`: the rows that may be held packed at a time, or the memory of as many rows for sums of ranges.
    MomentPlan(const Tile<T>& tile, Index n_, Index rows_, Index most_packed) : n(n_), rows(rows_) {
        side = (n + tile.most_edge - 1) / tile.most_edge;
        if (side == 3) side = 4;  // six tiles share badly among threads
        edge = side > 1 ? round_up((n + side - 1) / side, tile.panel_columns) : tile.padded(n);
        side = edge > 0 ? (n + edge - 1) / edge : 0, tiles = side * (side + 1) / 2;
        ld = tile.panel_ld(std::min(n, edge));
        depth =
            std::min({panel_bytes / std::max<Index>(ld * size, 1), most_depth, std::max<Index>(most_packed / 8, 16)});
        // A cache line more than the panel, so that the panels of one row do not fall into the same few cache sets.
        panel_stride = depth * ld + cache_line / size;
        if (packed_once())
            cut_passes(std::min(most_packed, shared_bytes / (n * size)));
        else
            cut_ranges(most_packed);
    }

    bool packed_once() const { return side > 2; }
    /// The elements of the sums of a tile.
    Index tile_size() const { return edge * edge; }
    double flops() const { return static_cast<double>(n) * static_cast<double>(n + 1) * static_cast<double>(rows + 1); }
    double tile_flops() const { return flops() / static_cast<double>(std::max<Index>(tiles, 1)); }
    /// Whether float32 sums are added up in float64, so that errors do not grow with the rows beyond exact_rows.
    bool in_float64() const { return sizeof(T) == 4 && passes == 1 && rows_per_range > exact_rows; }

    static constexpr Index exact_rows = 4096;               // that float32 sums run over
    static constexpr Index shared_bytes = Index{32} << 20;  // of what threads share, and what one more matrix takes

  private:
    static constexpr Index size = sizeof(T), cache_line = 64;
    static constexpr Index panel_bytes = 24 << 10;  // of a panel that stays in the first-level cache
    static constexpr Index most_depth = 512;

    void cut_ranges(Index most) {
        // A range costs a pass over its sums, which shows where it has few rows.
        constexpr double least_flops = 5e5, least_rows = 1024, most_ranges = 32;
        const double width = static_cast<double>(edge), count = static_cast<double>(rows);
        const double useful = std::min({2 * width * width * count / least_flops, count / least_rows, most_ranges});
        const double squares = static_cast<double>(most) * static_cast<double>(n) /
                               std::max(static_cast<double>(tiles) * width * width, 1.0);
        const auto affordable = [&](double words) {
            ranges = static_cast<Index>(std::max(1.0, std::min(useful, squares / words)));
            rows_per_range = (rows + ranges - 1) / ranges;
        };
        affordable(1);
        if (in_float64()) affordable(2);
    }
    void cut_passes(Index most) {
        most = std::clamp(most, depth, exact_rows);
        passes = std::max<Index>((rows + most - 1) / most, 1);
        rows_per_pass = round_up((rows + passes - 1) / passes, depth);
        passes = std::max<Index>((rows + rows_per_pass - 1) / std::max<Index>(rows_per_pass, 1), 1);
    }
    static Index round_up(Index count, Index multiple) { return (count + multiple - 1) / multiple * multiple; }
};

/// The rows [i0, i0 + height) and columns [j0, j0 + width) of the lower triangle that tile `t` covers.
struct MomentTile {
    Index i0, j0, height, width;

    MomentTile(Index i0_, Index j0_, Index height_, Index width_) : i0(i0_), j0(j0_), height(height_), width(width_) {}
    template <class T>
    MomentTile(const MomentPlan<T>& plan, Index t) {
        Index i = 0;
        while ((i + 1) * (i + 2) / 2 <= t) ++i;
        i0 = i * plan.edge, j0 = (t - i * (i + 1) / 2) * plan.edge;
        height = std::min(plan.edge, plan.n - i0), width = std::min(plan.edge, plan.n - j0);
    }
    bool diagonal() const { return i0 == j0; }
};

}  // namespace curvblas::cpu
