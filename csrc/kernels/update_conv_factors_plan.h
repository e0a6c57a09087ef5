// How patch moments by shifts are cut into items, and what one item is. See update_conv_factors.h.
#pragma once

#include "core/moving_average.h"
#include "cpu/scratch.h"
#include "cpu/shifts.h"
#include "kernels/update_conv_factors.h"

namespace curvblas::cpu {

/// How a convolution is cut: channels into tiles, images into boxes that are packed at a time. Depends on shapes, dtype
/// and instruction set alone.
template <class T>
struct ShiftPlan {
    AxisShifts z, y, x;
    Index channels, edge, side;   // of a channel tile, and how many there are
    Index box[3], images, pitch;  // positions and images that are packed at a time; from line to line in the packed
    Index positions;              // that a sum runs over, about

    ShiftPlan(const Tile<T>& tile, const UpdateConvFactors<T>& task)
        : z(of(task.geometry.axis[0])),
          y(of(task.geometry.axis[1])),
          x(of(task.geometry.axis[2])),
          channels(task.images.channels) {
        Index most = 64;
        while (most > tile.granule && sums_size(most) * static_cast<Index>(sizeof(T)) > most_sums_bytes)
            most -= tile.granule;
        side = (channels + most - 1) / most;
        edge = tile.padded((channels + side - 1) / side);
        side = (channels + edge - 1) / edge;
        constexpr Index packed = 160;  // positions: a panel of them stays in the first-level cache
        Index left = packed;
        for (int a = 2; a >= 0; --a) {
            box[a] = std::clamp<Index>(left, 1, std::max<Index>(task.geometry.axis[a].size, 1));
            left /= box[a];
        }
        images = std::clamp<Index>(left, 1, std::max<Index>(task.images.N, 1));
        const ConvAxis& along = task.geometry.axis[2];
        pitch = std::min(box[2] + 2 * (along.kernel - 1) * along.dilation, along.size);
        positions = task.images.N * task.geometry.axis[0].size * task.geometry.axis[1].size * along.size;
    }

    static AxisShifts of(const ConvAxis& axis) { return {axis.size, axis.kernel, axis.padding, axis.dilation}; }
    /// The sums of one item: all differences along x, all segments.
    Index sums_count() const { return static_cast<Index>(z.most_segments()) * y.most_segments() * x.all_segments(); }
    Index sums_size(Index tile_edge) const { return sums_count() * tile_edge * tile_edge; }
    Index square() const { return edge * edge; }
    Index packed_rows() const { return box[0] * box[1] * pitch * images; }
    bool in_float64() const { return sizeof(T) == 4 && positions > exact_positions; }

    static constexpr Index most_sums_bytes = Index{3} << 19;
    static constexpr Index exact_positions = 16384;  // that float32 sums run over before they are added to float64 ones
};

/// One item: channel tiles I >= J and a difference of the offsets along z and y; all differences along x.
template <class T>
struct ShiftItem {
    const ShiftPlan<T>& plan;
    const ConvAxis* axes;
    Index dz, dy, first_dx, i0, j0, height, width;
    bool diagonal, same_lines;  ///< I = J; and the offsets differ along x only
    Index line_segments;        ///< of all differences along x

    ShiftItem(const ShiftPlan<T>& plan_, const UpdateConvFactors<T>& task, Index part)
        : plan(plan_), axes(task.geometry.axis) {
        const Index ny = 2 * axes[1].kernel - 1, nz = 2 * axes[0].kernel - 1;
        dy = part % ny - axes[1].kernel + 1, dz = part / ny % nz - axes[0].kernel + 1;
        Index pair = part / ny / nz, i = 0;
        while ((i + 1) * (i + 2) / 2 <= pair) ++i;
        i0 = i * plan.edge, j0 = (pair - i * (i + 1) / 2) * plan.edge;
        height = std::min(plan.edge, plan.channels - i0), width = std::min(plan.edge, plan.channels - j0);
        diagonal = i0 == j0, same_lines = diagonal && dy == 0 && dz == 0;
        first_dx = same_lines ? 0 : 1 - axes[2].kernel;
        line_segments = 0;
        for (Index dx = first_dx; dx < axes[2].kernel; ++dx) line_segments += x(dx).segments();
    }

    static Index parts(const ShiftPlan<T>& plan) {
        return plan.side * (plan.side + 1) / 2 * (2 * plan.z.kernel - 1) * (2 * plan.y.kernel - 1);
    }
    /// False on the half of the differences that symmetry gives.
    bool needed() const { return !diagonal || dz > 0 || (dz == 0 && dy >= 0); }
    double flops() const {
        return 2.0 * static_cast<double>(plan.positions) * static_cast<double>(height * width) *
               static_cast<double>(axes[2].kernel - first_dx);
    }
    const AxisShift& z() const { return plan.z.of(dz); }
    const AxisShift& y() const { return plan.y.of(dy); }
    const AxisShift& x(Index dx) const { return plan.x.of(dx); }
    Index segments() const { return z().segments() * y().segments() * line_segments; }
    /// The number of the first segment of a difference along x, in segments z and y.
    Index segment(Index zs, Index ys, Index dx) const {
        Index before = 0;
        for (Index d = first_dx; d < dx; ++d) before += x(d).segments();
        return (zs * y().segments() + ys) * line_segments + before;
    }
};

}  // namespace curvblas::cpu
