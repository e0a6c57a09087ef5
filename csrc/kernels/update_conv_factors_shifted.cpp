#include "kernels/update_conv_factors_shifted.h"

#include <memory>

#include "cpu/queue.h"
#include "cpu/scratch.h"
#include "cpu/shifts.h"

namespace curvblas::cpu {
namespace {

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
    Index packed_rows() const { return box[0] * box[1] * pitch * images; }
    bool in_float64() const { return sizeof(T) == 4 && positions > exact_positions; }

    static constexpr Index most_sums_bytes = Index{3} << 19;
    static constexpr Index exact_positions = 16384;  // that float32 sums run over before they are added to float64 ones
};

/// One item: channel tiles I >= J, and a difference of the offsets along z and y; all differences along x.
template <class T>
class Correlation {
  public:
    Correlation(const Tile<T>& tile, const UpdateConvFactors<T>& task, Index b, const ShiftPlan<T>& plan, Index part)
        : tile_(tile), task_(task), b_(b), plan_(plan), axes_(task.geometry.axis) {
        const Index ny = 2 * axes_[1].kernel - 1, nz = 2 * axes_[0].kernel - 1;
        dy_ = part % ny - axes_[1].kernel + 1, dz_ = part / ny % nz - axes_[0].kernel + 1;
        Index pair = part / ny / nz, i = 0;
        while ((i + 1) * (i + 2) / 2 <= pair) ++i;
        i0_ = i * plan.edge, j0_ = (pair - i * (i + 1) / 2) * plan.edge;
        height_ = std::min(plan.edge, plan.channels - i0_), width_ = std::min(plan.edge, plan.channels - j0_);
        diagonal_ = i0_ == j0_, same_lines_ = diagonal_ && dy_ == 0 && dz_ == 0;
        first_dx_ = same_lines_ ? 0 : 1 - axes_[2].kernel;
    }

    static Index parts(const ShiftPlan<T>& plan) {
        return plan.side * (plan.side + 1) / 2 * (2 * plan.z.kernel - 1) * (2 * plan.y.kernel - 1);
    }
    /// False on the half of the differences that symmetry gives.
    bool needed() const { return !diagonal_ || dz_ > 0 || (dz_ == 0 && dy_ >= 0); }
    double flops() const {
        return 2.0 * static_cast<double>(plan_.positions) * static_cast<double>(height_ * width_) *
               static_cast<double>(axes_[2].kernel - first_dx_);
    }

    static Index scratch_bytes(const Tile<T>& tile, const ShiftPlan<T>& plan, const UpdateConvFactors<T>& task) {
        const Index square = plan.edge * plan.edge, sums = plan.sums_count() * square, kx = plan.x.kernel;
        const Index word = static_cast<Index>(sizeof(T));
        return 2 * padded(panels_size(tile, plan) * word) + padded(sums * word) +
               (plan.in_float64() ? padded(sums * 8) : 0) + padded(plan.x.all_segments() * square * 8) +
               padded(kx * kx * square * 8) + (task.bias ? padded(plan.sums_count() * plan.edge * 8) : 0);
    }

    void run() {
        Scratch<Correlation> scratch(scratch_bytes(tile_, plan_, task_));
        const Index word = panels_size(tile_, plan_), square = plan_.edge * plan_.edge;
        A_ = scratch.template take<T>(word), B_ = scratch.template take<T>(word);
        sums_ = scratch.template take<T>(plan_.sums_count() * square);
        if (plan_.in_float64()) exact_ = scratch.template take<double>(plan_.sums_count() * square);
        in_lines_ = scratch.template take<double>(plan_.x.all_segments() * square);
        block_ = scratch.template take<double>(plan_.x.kernel * plan_.x.kernel * square);
        if (task_.bias) bias_ = scratch.template take<double>(plan_.sums_count() * plan_.edge);
        lay_out();
        sum_boxes();
        emit();
    }

  private:
    static Index panel_stride(const Tile<T>& tile, const ShiftPlan<T>& plan) {
        return plan.packed_rows() * tile.panel_ld(plan.edge) + 64 / static_cast<Index>(sizeof(T));
    }
    static Index panels_size(const Tile<T>& tile, const ShiftPlan<T>& plan) {
        return tile.panels(plan.edge) * panel_stride(tile, plan);
    }
    const AxisShift& z() const { return plan_.z.of(dz_); }
    const AxisShift& y() const { return plan_.y.of(dy_); }
    const AxisShift& x(Index dx) const { return plan_.x.of(dx); }
    bool sums_bias() const { return task_.bias && same_lines_; }

    /// Where the sums of each difference along x begin, in segments of one line.
    void lay_out() {
        Index next = 0;
        for (Index dx = first_dx_; dx < axes_[2].kernel; ++dx) base_.push_back(next), next += x(dx).segments();
        line_segments_ = next;
        const Index used = z().segments() * y().segments() * line_segments_;
        std::fill_n(sums_, used * plan_.edge * plan_.edge, T(0));
        if (exact_) std::fill_n(exact_, used * plan_.edge * plan_.edge, 0.0);
        if (sums_bias()) std::fill_n(bias_, used * plan_.edge, 0.0);
    }
    Index segment(Index zs, Index ys, Index dx, Index xs) const {
        return (zs * y().segments() + ys) * line_segments_ + base_[static_cast<std::size_t>(dx - first_dx_)] + xs;
    }

    /// Packed positions and images: [from, to) along each axis, the x of packed lines from x0 to x1.
    struct Box {
        Index from[3], to[3], x0, x1, n, images;
    };

    void sum_boxes() {
        const Index longest = (axes_[2].kernel - 1) * axes_[2].dilation;
        Index summed = 0;
        Box at{};
        for (at.n = 0; at.n < task_.images.N; at.n += plan_.images) {
            at.images = std::min(plan_.images, task_.images.N - at.n);
            for (at.from[0] = 0; at.from[0] < axes_[0].size; at.from[0] = at.to[0]) {
                at.to[0] = std::min(at.from[0] + plan_.box[0], axes_[0].size);
                for (at.from[1] = 0; at.from[1] < axes_[1].size; at.from[1] = at.to[1]) {
                    at.to[1] = std::min(at.from[1] + plan_.box[1], axes_[1].size);
                    for (at.from[2] = 0; at.from[2] < axes_[2].size; at.from[2] = at.to[2]) {
                        at.to[2] = std::min(at.from[2] + plan_.box[2], axes_[2].size);
                        at.x0 = std::max<Index>(at.from[2] - longest, 0);
                        at.x1 = std::min(at.to[2] + longest, axes_[2].size);
                        sum_box(at);
                        summed +=
                            (at.to[0] - at.from[0]) * (at.to[1] - at.from[1]) * (at.to[2] - at.from[2]) * at.images;
                        if (exact_ && summed > ShiftPlan<T>::exact_positions) round_up_sums(), summed = 0;
                    }
                }
            }
        }
        if (exact_) round_up_sums();
    }

    /// Adds the float32 sums to the float64 ones, and starts again.
    void round_up_sums() {
        const Index used = z().segments() * y().segments() * line_segments_ * plan_.edge * plan_.edge;
        for (Index e = 0; e < used; ++e) exact_[e] += static_cast<double>(sums_[e]), sums_[e] = 0;
    }

    Panels<T> panels(T* data) const { return {data, tile_.panel_ld(plan_.edge), panel_stride(tile_, plan_)}; }

    void sum_box(const Box& at) {
        pack(at, i0_, height_, 0, 0, panels(A_));
        if (!same_lines_) pack(at, j0_, width_, z().shift, y().shift, panels(B_));
        const Panels<T> B = same_lines_ ? panels(A_) : panels(B_);
        for_segments(z(), at.from[0], at.to[0], [&](Index zs, Index z0, Index z1) {
            for_segments(y(), at.from[1], at.to[1], [&](Index ys, Index y0, Index y1) {
                for (Index dx = first_dx_; dx < axes_[2].kernel; ++dx)
                    for_segments(x(dx), at.from[2], at.to[2], [&](Index xs, Index x0, Index x1) {
                        const Index line = plan_.pitch * at.images, plane = plan_.box[1] * line;
                        const Index first = (z0 - at.from[0]) * plane + (y0 - at.from[1]) * line;
                        const Index a = first + (x0 - at.x0) * at.images, b = a + x(dx).shift * at.images;
                        const Steps steps{z1 - z0, y1 - y0, (x1 - x0) * at.images, plane, line};
                        const Index to = segment(zs, ys, dx, xs);
                        const bool lower = same_lines_ && dx == 0;
                        const Panels<T> A = panels(A_);
                        tile_.multiply(steps, {A.data + a * A.ld, A.ld, A.stride}, {B.data + b * B.ld, B.ld, B.stride},
                                       height_, width_, lower, true, sums_ + to * plan_.edge * plan_.edge, plan_.edge);
                        if (lower && task_.bias) sum_rows(steps, {A.data + a * A.ld, A.ld, A.stride}, to);
                    });
            });
        });
    }

    /// Calls f(s, begin, end) for the parts of segments that lie in [from, to).
    template <class F>
    static void for_segments(const AxisShift& axis, Index from, Index to, const F& f) {
        for (int s = 0; s < axis.segments(); ++s) {
            const Index begin = std::max(axis.cuts[static_cast<std::size_t>(s)], from);
            const Index end = std::min(axis.cuts[static_cast<std::size_t>(s) + 1], to);
            if (begin < end) f(s, begin, end);
        }
    }

    /// The lines of a box, moved by (shift_z, shift_y), where they are inside the image: position, then image.
    void pack(const Box& at, Index channel, Index count, Index shift_z, Index shift_y, const Panels<T>& to) const {
        const Images& images = task_.images;
        for (Index pz = at.from[0]; pz < at.to[0]; ++pz)
            for (Index py = at.from[1]; py < at.to[1]; ++py) {
                const Index iz = pz + shift_z, iy = py + shift_y;
                if (iz < 0 || iz >= axes_[0].size || iy < 0 || iy >= axes_[1].size) continue;
                const Index line = ((pz - at.from[0]) * plan_.box[1] + (py - at.from[1])) * plan_.pitch * at.images;
                for (Index n = 0; n < at.images; ++n)
                    tile_.pack({.data = images.at(b_, at.n + n, channel, iz, iy, at.x0),
                                .dtype = images.dtype,
                                .count = at.x1 - at.x0,
                                .columns = count,
                                .row_stride = images.stride[2],
                                .column_stride = images.c_stride,
                                .step = at.images},
                               {to.data + (line + n) * to.ld, to.ld, to.stride});
            }
    }

    /// Adds up the packed rows of A for the row and column of the bias.
    void sum_rows(const Steps& steps, const Panels<T>& A, Index to) {
        for (Index p = 0; p < steps.planes; ++p)
            for (Index l = 0; l < steps.lines; ++l)
                for (Index c = 0; c < height_; ++c) {
                    const T* const column = A.data + c / tile_.panel_columns * A.stride + c % tile_.panel_columns;
                    const Index first = p * steps.plane_stride + l * steps.line_stride;
                    double sum = 0;
                    for (Index k = 0; k < steps.depth; ++k) sum += static_cast<double>(column[(first + k) * A.ld]);
                    bias_[to * plan_.edge + c] += sum;
                }
    }

    /// For each pair of offsets: the sums of the segments that its window covers, into the factor and its mirror image.
    void emit() {
        const MovingAverage<T> average = average_of(task_, b_);
        for (Index kz = z().first_offset; kz < z().first_offset + z().offsets; ++kz)
            for (Index ky = y().first_offset; ky < y().first_offset + y().offsets; ++ky) {
                const AxisShift::Window wz = z().window(kz), wy = y().window(ky);
                exact_ ? add_lines(exact_, wz, wy) : add_lines(sums_, wz, wy);
                const Index k = (kz * axes_[1].kernel + ky) * axes_[2].kernel;
                const Index other = ((kz + dz_) * axes_[1].kernel + ky + dy_) * axes_[2].kernel;
                add_windows();
                write(average, k, other);
                if (sums_bias()) write_bias(average, k, wz, wy);
            }
        if (sums_bias() && i0_ == 0) {
            const Index last = task_.updated.rows - 1;
            const double count = static_cast<double>(task_.images.N) * static_cast<double>(task_.geometry.positions());
            task_.updated[b_](last, last) = static_cast<T>(average.kept(task_.C[b_](last, last)) + average.add * count);
        }
    }

    /// Over the segments of the lines that a pair of offsets along z and y sees.
    template <class S>
    void add_lines(const S* sums, const AxisShift::Window& wz, const AxisShift::Window& wy) {
        const Index size = line_segments_ * plan_.edge * plan_.edge;
        std::fill_n(in_lines_, size, 0.0);
        for (int zs = wz.first; zs < wz.last; ++zs)
            for (int ys = wy.first; ys < wy.last; ++ys) {
                const S* const from = sums + (Index{zs} * y().segments() + ys) * size;
                for (Index e = 0; e < size; ++e) in_lines_[e] += static_cast<double>(from[e]);
            }
    }

    double* block_of(Index kx, Index other) const {
        return block_ + (kx * axes_[2].kernel + other) * plan_.edge * plan_.edge;
    }

    /// Over the segments along x: block_of(kx, kx + dx) for all pairs of this item.
    void add_windows() {
        const Index square = plan_.edge * plan_.edge;
        for (Index dx = first_dx_; dx < axes_[2].kernel; ++dx)
            for (Index kx = x(dx).first_offset; kx < x(dx).first_offset + x(dx).offsets; ++kx) {
                const AxisShift::Window w = x(dx).window(kx);
                double* const to = block_of(kx, kx + dx);
                std::fill_n(to, square, 0.0);
                for (int xs = w.first; xs < w.last; ++xs) {
                    const double* const from = in_lines_ + segment(0, 0, dx, xs) * square;
                    for (Index e = 0; e < square; ++e) to[e] += from[e];
                }
            }
    }

    /// Offsets kx of the rows (k + kx of the whole kernel) against those of the columns (other + ...).
    void write(const MovingAverage<T>& average, Index k, Index other) {
        const Matrix<const T> C = task_.C[b_];
        const Matrix<T> updated = task_.updated[b_];
        const Index offsets = task_.geometry.offsets(), kernel = axes_[2].kernel;
        // Twice along rows of the matrix: as they stand, then mirrored. What lies below the diagonal is read.
        const auto for_rows = [&](bool mirrored, const auto& f) {
            const Index rows = mirrored ? width_ : height_, columns = mirrored ? height_ : width_;
            for (Index r = 0; r < rows; ++r)
                for (Index kr = 0; kr < kernel; ++kr) {
                    const Index row = ((mirrored ? j0_ : i0_) + r) * offsets + (mirrored ? other : k) + kr;
                    for (Index c = 0; c < columns; ++c) {
                        const Index column = ((mirrored ? i0_ : j0_) + c) * offsets + (mirrored ? k : other);
                        const Index element = mirrored ? c * plan_.edge + r : r * plan_.edge + c;
                        for (Index kc = 0; kc < kernel; ++kc) {
                            const Index kx = mirrored ? kc : kr, kx_other = mirrored ? kr : kc;
                            if (kx_other - kx < first_dx_) continue;
                            if (same_lines_ && kx == kx_other && (mirrored ? r > c : c > r)) continue;
                            f(block_of(kx, kx_other)[element], row, column + kc);
                        }
                    }
                }
        };
        const double add = static_cast<double>(average.add);
        const auto finish = [&](double& value, Index row, Index column) {
            if (row >= column) value = static_cast<double>(average.kept(C(row, column))) + add * value;
        };
        const auto finish_mirrored = [&](double& value, Index row, Index column) {
            if (row > column) value = static_cast<double>(average.kept(C(row, column))) + add * value;
        };
        const auto store = [&](double value, Index row, Index column) { updated(row, column) = static_cast<T>(value); };
        for_rows(false, finish);
        if (diagonal_) for_rows(true, finish_mirrored);
        for_rows(false, store);
        for_rows(true, store);
    }

    void write_bias(const MovingAverage<T>& average, Index k, const AxisShift::Window& wz,
                    const AxisShift::Window& wy) {
        const Index offsets = task_.geometry.offsets(), last = task_.updated.rows - 1;
        for (Index kx = 0; kx < axes_[2].kernel; ++kx) {
            const AxisShift::Window wx = x(0).window(kx);
            for (Index c = 0; c < height_; ++c) {
                double sum = 0;
                for (int zs = wz.first; zs < wz.last; ++zs)
                    for (int ys = wy.first; ys < wy.last; ++ys)
                        for (int xs = wx.first; xs < wx.last; ++xs)
                            sum += bias_[segment(zs, ys, 0, xs) * plan_.edge + c];
                const Index column = (i0_ + c) * offsets + k + kx;
                const double old = static_cast<double>(average.kept(task_.C[b_](last, column)));
                const T value = static_cast<T>(old + static_cast<double>(average.add) * sum);
                task_.updated[b_](last, column) = task_.updated[b_](column, last) = value;
            }
        }
    }

    const Tile<T>& tile_;
    const UpdateConvFactors<T>& task_;
    Index b_;
    const ShiftPlan<T>& plan_;
    const ConvAxis* axes_;
    Index dz_, dy_, first_dx_, i0_, j0_, height_, width_;
    bool diagonal_, same_lines_;
    std::vector<Index> base_;
    Index line_segments_ = 0;
    T *A_ = nullptr, *B_ = nullptr, *sums_ = nullptr;
    double *exact_ = nullptr, *in_lines_ = nullptr, *block_ = nullptr, *bias_ = nullptr;
};

}  // namespace

template <class T>
bool prefers_shifts(const Tile<T>& tile, const UpdateConvFactors<T>& task) {
    const ConvAxis* const axis = task.geometry.axis;
    if (!task.geometry.unit_stride() || task.geometry.offsets() == 1) return false;
    const Index channels = task.images.channels, p = channels * task.geometry.offsets();
    double differences = 1;
    for (int a = 0; a < 3; ++a) differences *= static_cast<double>(2 * axis[a].kernel - 1);
    const double by_shifts = differences * static_cast<double>(tile.padded(channels)) * static_cast<double>(channels);
    const double by_patches = static_cast<double>(p) * static_cast<double>(p);
    if (1.5 * by_shifts > by_patches) return false;
    return ShiftPlan<T>(tile, task).sums_size(tile.granule) * static_cast<Index>(sizeof(T)) <=
           ShiftPlan<T>::most_sums_bytes;
}

template <class T>
void update_by_shifts(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const Tile<T>& tile = queue.micro().tile<T>();
    std::vector<ShiftPlan<T>> plans;
    std::vector<Item> items;
    plans.reserve(group.size());
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        plans.emplace_back(tile, group[t]);
        for (Index b = 0; b < group[t].updated.batch; ++b)
            for (Index part = 0; part < Correlation<T>::parts(plans.back()); ++part) {
                const Correlation<T> item(tile, group[t], b, plans.back(), part);
                if (item.needed()) items.push_back({t, b, 1, part, item.flops()});
            }
    }
    queue.run(items, [&](const Item& item) {
        Correlation<T>(tile, group[item.task], item.first, plans[static_cast<std::size_t>(item.task)], item.part).run();
    });
}

template <class T>
Index shifts_workspace_bytes(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const Tile<T>& tile = queue.micro().tile<T>();
    Index most = 0;
    for (const auto& task : group)
        most = std::max(most, Correlation<T>::scratch_bytes(tile, ShiftPlan<T>(tile, task), task));
    return most * Pool::instance().threads();
}

template bool prefers_shifts(const Tile<float>&, const UpdateConvFactors<float>&);
template bool prefers_shifts(const Tile<double>&, const UpdateConvFactors<double>&);
template void update_by_shifts(const Queue&, std::span<const UpdateConvFactors<float>>);
template void update_by_shifts(const Queue&, std::span<const UpdateConvFactors<double>>);
template Index shifts_workspace_bytes<float>(const Queue&, std::span<const UpdateConvFactors<float>>);
template Index shifts_workspace_bytes<double>(const Queue&, std::span<const UpdateConvFactors<double>>);

}  // namespace curvblas::cpu
