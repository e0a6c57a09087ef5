// How patch moments by shifts are cut into items, and what one item is. See update_conv_factors.h.
#pragma once

#include "cpu/tiles.h"
#include "kernels/conv_shifts.h"

namespace curvblas::cpu {

/// How a convolution is cut: channels into tiles, images into boxes that are packed at a time. Depends on shapes, dtype
/// and instruction set alone.
template <class T>
struct ShiftPlan {
    AxisDifferences z, y, x;
    Index channels, offsets;
    bool whole;                   // an item has all differences of its channels, else one along z and y
    Index edge, side;             // of a channel tile, and how many there are
    Index box[3], images, pitch;  // positions and images that are packed at a time; from line to line in the packed

    ShiftPlan(const Tile<T>& tile, const UpdateConvFactors<T>& task)
        : z(task.geometry.axis[0]),
          y(task.geometry.axis[1]),
          x(task.geometry.axis[2]),
          channels(task.images.channels),
          offsets(task.geometry.offsets()) {
        constexpr Index preferred_edge = 32, most_edge = 64;
        edge = largest_edge(tile, preferred_edge, all_sums(), offsets);
        whole = edge > 0 && channels > edge;  // a single tile would be a single item
        if (!whole) edge = std::max(largest_edge(tile, most_edge, sums_of_lines(), 0), tile.granule);
        side = (channels + edge - 1) / edge;
        edge = tile.padded((channels + side - 1) / side);
        side = (channels + edge - 1) / edge;
        constexpr Index packed = 1024;  // positions: they stay in the second-level cache
        Index left = packed;
        for (int a = 2; a >= 0; --a) {
            box[a] = even_part(task.geometry.axis[a].size, left);
            left /= box[a];
        }
        images = even_part(task.images.N, left);
        const ConvAxis& along = task.geometry.axis[2];
        pitch = std::min(box[2] + 2 * (along.kernel - 1) * along.dilation, along.size);
    }

    Index square() const { return edge * edge; }
    /// The sums of one difference along z and y: all differences along x, all segments.
    Index sums_of_lines() const { return static_cast<Index>(z.most_segments()) * y.most_segments() * x.all_segments(); }
    Index all_sums() const { return static_cast<Index>(z.all_segments()) * y.all_segments() * x.all_segments(); }
    /// Whether the smallest tiles fit.
    static bool fits(const Tile<T>& tile, const UpdateConvFactors<T>& task) {
        // K offsets have K^2 windows to look at, and about half as many segments: beyond that it is no question.
        const auto kernel = [&](int a) { return static_cast<double>(task.geometry.axis[a].kernel); };
        const double least_sums = kernel(0) * kernel(1) * kernel(2) * kernel(2) / 2;
        if (least_sums * static_cast<double>(tile.granule * tile.granule * size) > most_bytes) return false;
        return ShiftPlan(tile, task).sums_of_lines() * tile.granule * tile.granule * size <= most_bytes;
    }

    static constexpr Index exact_positions = 16384;  // that float32 sums run over before they enter the average

  private:
    static constexpr Index most_bytes = Index{3} << 19, size = sizeof(T);

    /// Of parts of at most `most`, as even as can be.
    static Index even_part(Index count, Index most) {
        most = std::max<Index>(most, 1);
        const Index parts = std::max<Index>((count + most - 1) / most, 1);
        return std::max<Index>((count + parts - 1) / parts, 1);
    }
    /// Of tiles whose `sums` squares fit, with a block of the factor of `elements` x `elements` for each; 0 if none do.
    static Index largest_edge(const Tile<T>& tile, Index most, Index sums, Index elements) {
        Index edge = most / tile.granule * tile.granule;
        while (edge > 0 && (sums + elements * elements) * edge * edge * size > most_bytes) edge -= tile.granule;
        return edge;
    }
};

/// A difference of the offsets along z and y, with all differences along x: the square of segment (zs, ys, xs) of dx is
/// number first + (zs ny + ys) line_segments + before(dx) + xs of the item's sums.
struct LineShift {
    Index dz, dy, first_dx;
    bool same_lines;  ///< the channels are the same, and the offsets differ along x only
    const AxisDifference *z, *y;
    Index first, line_segments;

    Index segments() const { return z->segments() * y->segments() * line_segments; }
};

/// One item: channel tiles I >= J, and the differences whose sums it forms.
template <class T>
struct ShiftItem {
    const ShiftPlan<T>& plan;
    Index i0, j0, height, width;
    bool diagonal;  ///< I = J: half of the differences, symmetry gives the others
    std::vector<LineShift> shifts;
    Index segments = 0;

    ShiftItem(const ShiftPlan<T>& plan_, Index part) : plan(plan_) {
        const Index ny = 2 * plan.y.kernel - 1, nz = 2 * plan.z.kernel - 1;
        Index pair = plan.whole ? part : part / ny / nz, i = 0;
        while ((i + 1) * (i + 2) / 2 <= pair) ++i;
        i0 = i * plan.edge, j0 = (pair - i * (i + 1) / 2) * plan.edge;
        height = std::min(plan.edge, plan.channels - i0), width = std::min(plan.edge, plan.channels - j0);
        diagonal = i0 == j0;
        const Index first = plan.whole ? 0 : part % (ny * nz), last = plan.whole ? ny * nz : first + 1;
        for (Index d = first; d < last; ++d) append(d / ny - plan.z.kernel + 1, d % ny - plan.y.kernel + 1);
    }

    static Index parts(const ShiftPlan<T>& plan) {
        const Index pairs = plan.side * (plan.side + 1) / 2;
        return plan.whole ? pairs : pairs * (2 * plan.z.kernel - 1) * (2 * plan.y.kernel - 1);
    }
    double flops(double positions) const {
        double products = 0;
        for (const LineShift& shift : shifts) products += static_cast<double>(plan.x.kernel - shift.first_dx);
        return 2 * positions * products * static_cast<double>(height * width);
    }
    const AxisDifference& x(Index dx) const { return plan.x.of(dx); }
    /// The segments of one line before those of dx.
    Index before(const LineShift& shift, Index dx) const {
        Index count = 0;
        for (Index d = shift.first_dx; d < dx; ++d) count += x(d).segments();
        return count;
    }

  private:
    void append(Index dz, Index dy) {
        if (diagonal && (dz < 0 || (dz == 0 && dy < 0))) return;
        const bool same_lines = diagonal && dz == 0 && dy == 0;
        LineShift shift{dz,       dy, same_lines ? 0 : 1 - plan.x.kernel, same_lines, &plan.z.of(dz), &plan.y.of(dy),
                        segments, 0};
        shift.line_segments = before(shift, plan.x.kernel);
        segments += shift.segments();
        shifts.push_back(shift);
    }
};

}  // namespace curvblas::cpu
