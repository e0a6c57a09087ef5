// From the sums over segments to the blocks of the factor. See update_conv_factors.h.
#pragma once

#include "cpu/average_tile.h"
#include "kernels/update_conv_factors_plan.h"

namespace curvblas::cpu {

/// The sums that pairs of offsets see: of segments, which are squares of plan.edge.
template <class T>
class Windows {
  public:
    Windows(const ShiftItem<T>& item, const T* sums, T* scratch) : item_(item), sums_(sums), in_lines_(scratch) {}

    /// Elements.
    static Index scratch_size(const ShiftPlan<T>& plan) { return plan.x.all_segments() * plan.square(); }

    /// Calls f(kz, ky) for the offsets along z and y that have a partner at this difference; then row() gives the sums
    /// of their pairs.
    template <class F>
    void for_lines(const LineShift& shift, const F& f) {
        for (Index kz = shift.z->first_offset; kz < shift.z->first_offset + shift.z->offsets; ++kz)
            for (Index ky = shift.y->first_offset; ky < shift.y->first_offset + shift.y->offsets; ++ky) {
                add_lines(shift, shift.z->window(kz), shift.y->window(ky));
                f(kz, ky);
            }
    }
    /// The block of offsets kx and kx + dx: squares of segments that are to be added up. Of the difference 0 for the
    /// same channels, the lower part.
    struct Block {
        const T* first;
        Index segments, edge, width;

        /// Row r; in `buffer` where it must be added up.
        const T* row(Index r, T* buffer) const {
            const T* const from = first + r * edge;
            if (segments == 1) return from;
            std::fill_n(buffer, width, T(0));
            for (Index s = 0; s < segments; ++s) add(width, from + s * edge * edge, buffer);
            return buffer;
        }
    };
    Block block(const LineShift& shift, Index kx, Index dx) const {
        const AxisDifference::Window window = item_.x(dx).window(kx);
        const T* const first = in_lines_ + (item_.before(shift, dx) + window.begin) * item_.plan.square();
        return {first, window.end - window.begin, item_.plan.edge, item_.width};
    }

  private:
    void add_lines(const LineShift& shift, const AxisDifference::Window& z, const AxisDifference::Window& y) {
        const Index size = shift.line_segments * item_.plan.square();
        std::fill_n(in_lines_, size, T(0));
        for (Index zs = z.begin; zs < z.end; ++zs)
            for (Index ys = y.begin; ys < y.end; ++ys) {
                const Index line = zs * shift.y->segments() + ys;
                add(size, sums_ + (shift.first + line * shift.line_segments) * item_.plan.square(), in_lines_);
            }
    }
    static void add(Index count, const T* __restrict from, T* __restrict to) {
        for (Index e = 0; e < count; ++e) to[e] += from[e];
    }

    const ShiftItem<T>& item_;
    const T* sums_;
    T* in_lines_;
};

/// The item has all differences of its channels: their block of the factor is put together, and enters the average as
/// any other tile.
template <class T>
class BlockEmission {
  public:
    BlockEmission(const ShiftItem<T>& item, const T* sums, T* scratch)
        : item_(item),
          plan_(item.plan),
          windows_(item, sums, scratch),
          block_(scratch + Windows<T>::scratch_size(plan_)) {}

    static Index scratch_size(const ShiftPlan<T>& plan) {
        return Windows<T>::scratch_size(plan) + plan.square() * plan.offsets * plan.offsets;
    }

    void run(const Averaged<T>& factor, bool last) {
        std::vector<Pair> pairs;
        for (const LineShift& shift : item_.shifts)
            windows_.for_lines(shift, [&](Index kz, Index ky) {
                const Index from = kz * plan_.y.kernel + ky, to = from + shift.dz * plan_.y.kernel + shift.dy;
                pairs.clear();
                for (Index dx = shift.first_dx; dx < plan_.x.kernel; ++dx) {
                    const AxisDifference& x = item_.x(dx);
                    for (Index kx = x.first_offset; kx < x.first_offset + x.offsets; ++kx)
                        pairs.push_back({windows_.block(shift, kx, dx), from * plan_.x.kernel + kx,
                                         to * plan_.x.kernel + kx + dx, shift.same_lines && dx == 0});
                }
                for (Index r = 0; r < item_.height; ++r)
                    for (const Pair& pair : pairs) place(pair, r);
            });
        const Index n = plan_.offsets;
        const MomentTile at(item_.i0 * n, item_.j0 * n, item_.height * n, item_.width * n);
        average_tile(factor, TileSums<T>{block_, ld(), at}, last);
    }

  private:
    struct Pair {
        typename Windows<T>::Block sums;
        Index offset, other;
        bool lower;
    };

    Index ld() const { return plan_.edge * plan_.offsets; }

    /// Row r of a pair of offsets; for the same channels its mirror image too.
    void place(const Pair& pair, Index r) {
        constexpr Index most = 64;
        T buffer[most];
        const T* const row = pair.sums.row(r, buffer);
        const Index end = pair.lower ? r + 1 : item_.width;
        T* const to = block_ + (r * plan_.offsets + pair.offset) * ld() + pair.other;
        for (Index c = 0; c < end; ++c) to[c * plan_.offsets] = row[c];
        if (!item_.diagonal) return;
        T* const mirrored = block_ + pair.other * ld() + r * plan_.offsets + pair.offset;
        for (Index c = 0; c < end; ++c) mirrored[c * plan_.offsets * ld()] = row[c];
    }

    const ShiftItem<T>& item_;
    const ShiftPlan<T>& plan_;
    Windows<T> windows_;
    T* block_;
};

/// The item has one difference along z and y: for each pair of offsets along them, the block of all offsets along x.
template <class T>
class LineEmission {
  public:
    LineEmission(const ShiftItem<T>& item, const T* sums, T* scratch)
        : item_(item),
          plan_(item.plan),
          windows_(item, sums, scratch),
          blocks_(scratch + Windows<T>::scratch_size(plan_)) {}

    static Index scratch_size(const ShiftPlan<T>& plan) {
        return Windows<T>::scratch_size(plan) + plan.square() * plan.x.kernel * plan.x.kernel;
    }

    void run(const Averaged<T>& factor) {
        const LineShift& shift = item_.shifts.front();
        windows_.for_lines(shift, [&](Index kz, Index ky) {
            row_offset_ = (kz * plan_.y.kernel + ky) * kernel();
            column_offset_ = ((kz + shift.dz) * plan_.y.kernel + ky + shift.dy) * kernel();
            for (Index dx = shift.first_dx; dx < kernel(); ++dx) {
                const AxisDifference& x = item_.x(dx);
                for (Index kx = x.first_offset; kx < x.first_offset + x.offsets; ++kx) {
                    const auto from = windows_.block(shift, kx, dx);
                    for (Index r = 0; r < item_.height; ++r) {
                        T* const to = block(kx, kx + dx) + r * plan_.edge;
                        const T* const row = from.row(r, to);
                        if (row != to) std::copy_n(row, item_.width, to);
                    }
                }
            }
            write(factor);
        });
    }

  private:
    Index kernel() const { return plan_.x.kernel; }
    T* block(Index kx, Index other) const { return blocks_ + (kx * kernel() + other) * plan_.square(); }

    /// Part of a row of the factor: elements (row, column + c step) for c in [begin, end) are value[c * stride].
    struct Part {
        Index row, column, step, begin, end;
        T* value;
        Index stride;
        Index below;  ///< those with c < below lie under the diagonal, or with `mirrored` false on it
    };

    /// Calls f(part) for all blocks of this item, along the rows of the factor: as they stand, or mirrored.
    template <class F>
    void for_parts(bool mirrored, const F& f) const {
        const LineShift& shift = item_.shifts.front();
        const Index rows = mirrored ? item_.width : item_.height, columns = mirrored ? item_.height : item_.width;
        const Index row0 = mirrored ? item_.j0 : item_.i0, column0 = mirrored ? item_.i0 : item_.j0;
        for (Index r = 0; r < rows; ++r)
            for (Index kr = 0; kr < kernel(); ++kr)
                for (Index kc = 0; kc < kernel(); ++kc) {
                    const Index kx = mirrored ? kc : kr, other = mirrored ? kr : kc;
                    if (other - kx < shift.first_dx) continue;
                    const bool triangle = shift.same_lines && kx == other;  // only r >= c was summed
                    const Index a = (mirrored ? column_offset_ : row_offset_) + kr;
                    const Index b = (mirrored ? row_offset_ : column_offset_) + kc;
                    Part part{};
                    part.row = (row0 + r) * plan_.offsets + a, part.column = column0 * plan_.offsets + b;
                    part.step = plan_.offsets;
                    part.begin = triangle && mirrored ? r : 0, part.end = triangle && !mirrored ? r + 1 : columns;
                    part.value = block(kx, other) + (mirrored ? r : r * plan_.edge);
                    part.stride = mirrored ? plan_.edge : 1;
                    part.below = !item_.diagonal ? (mirrored ? 0 : columns) : r + (mirrored ? a > b : a >= b);
                    f(part);
                }
    }

    static void finish(const Averaged<T>& factor, const Part& part) {
        const T* const old = &factor.C(part.row, part.column);
        const Index step = part.step * factor.C.column_stride, end = std::min(part.end, part.below);
        const T add = factor.average.add, keep = factor.average.keep;
        if (keep == 0)  // the old factor is not read
            for (Index c = part.begin; c < end; ++c) part.value[c * part.stride] *= add;
        else
            for (Index c = part.begin; c < end; ++c)
                part.value[c * part.stride] = keep * old[c * step] + add * part.value[c * part.stride];
    }

    static void store(const Averaged<T>& factor, const Part& part) {
        T* const to = &factor.updated(part.row, part.column);
        const Index step = part.step * factor.updated.column_stride;
        for (Index c = part.begin; c < part.end; ++c) to[c * step] = part.value[c * part.stride];
    }

    void write(const Averaged<T>& factor) const {
        const auto finish_part = [&](const Part& part) { finish(factor, part); };
        const auto store_part = [&](const Part& part) { store(factor, part); };
        for_parts(false, finish_part);
        // A block may lie on both sides of the diagonal: all is read before anything is written.
        if (item_.diagonal) for_parts(true, finish_part);
        for_parts(false, store_part);
        for_parts(true, store_part);
    }

    const ShiftItem<T>& item_;
    const ShiftPlan<T>& plan_;
    Windows<T> windows_;
    T* blocks_;
    Index row_offset_ = 0, column_offset_ = 0;
};

/// The row and column of the bias, for the channels of a diagonal tile: `sums` are those of each segment and channel.
template <class T>
void emit_bias(const ShiftItem<T>& item, const LineShift& shift, const double* sums, double rows,
               const Averaged<T>& factor) {
    const ShiftPlan<T>& plan = item.plan;
    const Index last = factor.updated.rows - 1;
    const auto set = [&](Index column, double sum) {
        const double old = static_cast<double>(factor.average.kept(factor.C(last, column)));
        factor.updated(last, column) = factor.updated(column, last) =
            static_cast<T>(old + static_cast<double>(factor.average.add) * sum);
    };
    for (Index kz = 0; kz < plan.z.kernel; ++kz)
        for (Index ky = 0; ky < plan.y.kernel; ++ky)
            for (Index kx = 0; kx < plan.x.kernel; ++kx) {
                const AxisDifference::Window z = shift.z->window(kz), y = shift.y->window(ky), x = item.x(0).window(kx);
                for (Index c = 0; c < item.height; ++c) {
                    double sum = 0;
                    for (Index zs = z.begin; zs < z.end; ++zs)
                        for (Index ys = y.begin; ys < y.end; ++ys)
                            for (Index xs = x.begin; xs < x.end; ++xs) {
                                const Index line = zs * shift.y->segments() + ys;
                                sum += sums[(line * shift.line_segments + xs) * plan.edge + c];
                            }
                    const Index k = (kz * plan.y.kernel + ky) * plan.x.kernel + kx;
                    set((item.i0 + c) * plan.offsets + k, sum);
                }
            }
    if (item.i0 == 0) set(last, rows);
}

}  // namespace curvblas::cpu
