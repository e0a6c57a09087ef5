// From the sums over segments to the blocks of the factor. See update_conv_factors.h.
#pragma once

#include "kernels/update_conv_factors_plan.h"

namespace curvblas::cpu {

/// Writes what one item owns: for each pair of offsets (k, k + difference) the sum of the segments that its window
/// covers, and its mirror image. `S` is the type of the sums, a square of plan.edge for each segment.
template <class T, class S>
class ShiftEmission {
  public:
    ShiftEmission(const ShiftItem<T>& item, const UpdateConvFactors<T>& task, Index b, const S* sums,
                  const double* bias, S* scratch)
        : item_(item),
          plan_(item.plan),
          task_(task),
          C_(task.C[b]),
          updated_(task.updated[b]),
          average_(task.decay[b], task.scale ? &task.scale[b] : nullptr, task.images.N),
          sums_(sums),
          bias_(bias),
          in_lines_(scratch),
          blocks_(scratch + plan_.x.all_segments() * plan_.square()) {}

    /// Elements of S.
    static Index scratch_size(const ShiftPlan<T>& plan) {
        return (plan.x.all_segments() + plan.x.kernel * plan.x.kernel) * plan.square();
    }

    void run() {
        const AxisShift &z = item_.z(), &y = item_.y();
        for (Index kz = z.first_offset; kz < z.first_offset + z.offsets; ++kz)
            for (Index ky = y.first_offset; ky < y.first_offset + y.offsets; ++ky) {
                row_offset_ = (kz * item_.axes[1].kernel + ky) * kernel();
                column_offset_ = ((kz + item_.dz) * item_.axes[1].kernel + ky + item_.dy) * kernel();
                add_lines(z.window(kz), y.window(ky));
                add_windows();
                write();
                if (bias_) write_bias(z.window(kz), y.window(ky));
            }
        if (bias_ && item_.i0 == 0) {
            const double count = static_cast<double>(task_.images.N) * static_cast<double>(task_.geometry.positions());
            set_bias(last(), count);
        }
    }

  private:
    Index kernel() const { return item_.axes[2].kernel; }
    Index last() const { return updated_.rows - 1; }
    S* block(Index kx, Index other) const { return blocks_ + (kx * kernel() + other) * plan_.square(); }

    /// Over the segments along z and y that a pair of offsets sees.
    void add_lines(const AxisShift::Window& z, const AxisShift::Window& y) {
        const Index size = item_.line_segments * plan_.square();
        std::fill_n(in_lines_, size, S(0));
        for (Index zs = z.first; zs < z.last; ++zs)
            for (Index ys = y.first; ys < y.last; ++ys)
                add(size, sums_ + (zs * item_.y().segments() + ys) * size, in_lines_);
    }

    /// Over the segments along x: block(kx, kx + dx) for all pairs of this item.
    void add_windows() {
        for (Index dx = item_.first_dx; dx < kernel(); ++dx) {
            const AxisShift& x = item_.x(dx);
            const S* const from = in_lines_ + item_.segment(0, 0, dx) * plan_.square();
            for (Index kx = x.first_offset; kx < x.first_offset + x.offsets; ++kx) {
                S* const to = block(kx, kx + dx);
                std::fill_n(to, plan_.square(), S(0));
                for (Index xs = x.window(kx).first; xs < x.window(kx).last; ++xs)
                    add(plan_.square(), from + xs * plan_.square(), to);
            }
        }
    }

    static void add(Index count, const S* __restrict from, S* __restrict to) {
        for (Index e = 0; e < count; ++e) to[e] += from[e];
    }

    /// Part of a row of the factor: elements (row, column + c step) for c in [begin, end) are value[c * stride].
    struct Part {
        Index row, column, step, begin, end;
        S* value;
        Index stride;
        Index below;  ///< those with c < below lie under the diagonal, or with `mirrored` false on it
    };

    /// Calls f(part) for all blocks of this item, along the rows of the factor: as they stand, or mirrored.
    template <class F>
    void for_parts(bool mirrored, const F& f) const {
        const Index rows = mirrored ? item_.width : item_.height, columns = mirrored ? item_.height : item_.width;
        const Index row0 = mirrored ? item_.j0 : item_.i0, column0 = mirrored ? item_.i0 : item_.j0;
        const Index offsets = task_.geometry.offsets();
        for (Index r = 0; r < rows; ++r)
            for (Index kr = 0; kr < kernel(); ++kr)
                for (Index kc = 0; kc < kernel(); ++kc) {
                    const Index kx = mirrored ? kc : kr, other = mirrored ? kr : kc;
                    if (other - kx < item_.first_dx) continue;
                    const bool triangle = item_.same_lines && kx == other;  // only r >= c was summed
                    const Index a = (mirrored ? column_offset_ : row_offset_) + kr;
                    const Index b = (mirrored ? row_offset_ : column_offset_) + kc;
                    Part part{};
                    part.row = (row0 + r) * offsets + a, part.column = column0 * offsets + b, part.step = offsets;
                    part.begin = triangle && mirrored ? r : 0, part.end = triangle && !mirrored ? r + 1 : columns;
                    part.value = block(kx, other) + (mirrored ? r : r * plan_.edge);
                    part.stride = mirrored ? plan_.edge : 1;
                    part.below = !item_.diagonal ? (mirrored ? 0 : columns) : r + (mirrored ? a > b : a >= b);
                    f(part);
                }
    }

    void finish(const Part& part) const {
        const T* const old = &C_(part.row, part.column);
        const Index step = part.step * C_.column_stride, end = std::min(part.end, part.below);
        const S factor = static_cast<S>(average_.add), keep = static_cast<S>(average_.keep);
        if (keep == 0)  // the old factor is not read
            for (Index c = part.begin; c < end; ++c) part.value[c * part.stride] *= factor;
        else
            for (Index c = part.begin; c < end; ++c)
                part.value[c * part.stride] = keep * old[c * step] + factor * part.value[c * part.stride];
    }

    void store(const Part& part) const {
        T* const to = &updated_(part.row, part.column);
        const Index step = part.step * updated_.column_stride;
        for (Index c = part.begin; c < part.end; ++c) to[c * step] = static_cast<T>(part.value[c * part.stride]);
    }

    void write() const {
        if (item_.diagonal) {  // a block may lie on both sides of the diagonal: all is read before anything is written
            for_parts(false, [&](const Part& part) { finish(part); });
            for_parts(true, [&](const Part& part) { finish(part); });
            for_parts(false, [&](const Part& part) { store(part); });
        } else {
            for_parts(false, [&](const Part& part) { finish(part), store(part); });
        }
        for_parts(true, [&](const Part& part) { store(part); });
    }

    void set_bias(Index column, double sum) const {
        const double old = static_cast<double>(average_.kept(C_(last(), column)));
        const T value = static_cast<T>(old + static_cast<double>(average_.add) * sum);
        updated_(last(), column) = updated_(column, last()) = value;
    }

    void write_bias(const AxisShift::Window& z, const AxisShift::Window& y) const {
        for (Index kx = 0; kx < kernel(); ++kx) {
            const AxisShift::Window x = item_.x(0).window(kx);
            for (Index c = 0; c < item_.height; ++c) {
                double sum = 0;
                for (Index zs = z.first; zs < z.last; ++zs)
                    for (Index ys = y.first; ys < y.last; ++ys)
                        for (Index xs = x.first; xs < x.last; ++xs)
                            sum += bias_[(item_.segment(zs, ys, 0) + xs) * plan_.edge + c];
                set_bias((item_.i0 + c) * task_.geometry.offsets() + row_offset_ + kx, sum);
            }
        }
    }

    const ShiftItem<T>& item_;
    const ShiftPlan<T>& plan_;
    const UpdateConvFactors<T>& task_;
    Matrix<const T> C_;
    Matrix<T> updated_;
    MovingAverage<T> average_;
    const S* sums_;
    const double* bias_;
    S *in_lines_, *blocks_;
    Index row_offset_ = 0, column_offset_ = 0;
};

}  // namespace curvblas::cpu
