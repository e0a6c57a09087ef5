#include "kernels/update_conv_factors_shifted.h"

#include "cpu/queue.h"
#include "kernels/update_conv_factors_emission.h"

namespace curvblas::cpu {
namespace {

/// The sums of one item: all images, packed a box at a time, each segment of each difference in a square of its own.
template <class T>
class Correlation {
  public:
    Correlation(const Tile<T>& tile, const UpdateConvFactors<T>& task, Index b, const ShiftItem<T>& item)
        : tile_(tile), task_(task), b_(b), item_(item), plan_(item.plan), axes_(task.geometry.axis) {}

    static Index scratch_bytes(const Tile<T>& tile, const ShiftPlan<T>& plan, const UpdateConvFactors<T>& task) {
        const Index sums = plan.sums_count() * plan.square(), word = static_cast<Index>(sizeof(T));
        const Index emission = plan.in_float64() ? 8 * ShiftEmission<T, double>::scratch_size(plan)
                                                 : word * ShiftEmission<T, T>::scratch_size(plan);
        return 2 * padded(panels_size(tile, plan) * word) + padded(sums * word) +
               (plan.in_float64() ? padded(sums * 8) : 0) + padded(emission) +
               (task.bias ? padded(plan.sums_count() * plan.edge * 8) : 0);
    }

    void run() {
        Scratch<Correlation> scratch(scratch_bytes(tile_, plan_, task_));
        A_ = scratch.template take<T>(panels_size(tile_, plan_)),
        B_ = scratch.template take<T>(panels_size(tile_, plan_));
        const Index sums = item_.segments() * plan_.square();
        sums_ = scratch.template take<T>(sums);
        std::fill_n(sums_, sums, T(0));
        if (plan_.in_float64()) std::fill_n(exact_ = scratch.template take<double>(sums), sums, 0.0);
        const Index rows = item_.segments() * plan_.edge;
        if (sums_bias()) std::fill_n(bias_ = scratch.template take<double>(rows), rows, 0.0);
        sum_boxes();
        exact_ ? emit(exact_, scratch) : emit(sums_, scratch);
    }

  private:
    template <class S>
    void emit(const S* sums, Scratch<Correlation>& scratch) const {
        S* const work = scratch.template take<S>(ShiftEmission<T, S>::scratch_size(plan_));
        ShiftEmission<T, S>(item_, task_, b_, sums, bias_, work).run();
    }
    static Index panel_stride(const Tile<T>& tile, const ShiftPlan<T>& plan) {
        return plan.packed_rows() * tile.panel_ld(plan.edge) + 64 / static_cast<Index>(sizeof(T));
    }
    static Index panels_size(const Tile<T>& tile, const ShiftPlan<T>& plan) {
        return tile.panels(plan.edge) * panel_stride(tile, plan);
    }
    bool sums_bias() const { return task_.bias && item_.same_lines; }

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
        const Index used = item_.segments() * plan_.square();
        for (Index e = 0; e < used; ++e) exact_[e] += static_cast<double>(sums_[e]), sums_[e] = 0;
    }

    Panels<T> panels(T* data) const { return {data, tile_.panel_ld(plan_.edge), panel_stride(tile_, plan_)}; }

    void sum_box(const Box& at) {
        pack(at, item_.i0, item_.height, 0, 0, panels(A_));
        if (!item_.same_lines) pack(at, item_.j0, item_.width, item_.z().shift, item_.y().shift, panels(B_));
        const Panels<T> B = item_.same_lines ? panels(A_) : panels(B_);
        for_segments(item_.z(), at.from[0], at.to[0], [&](Index zs, Index z0, Index z1) {
            for_segments(item_.y(), at.from[1], at.to[1], [&](Index ys, Index y0, Index y1) {
                for (Index dx = item_.first_dx; dx < axes_[2].kernel; ++dx)
                    for_segments(item_.x(dx), at.from[2], at.to[2], [&](Index xs, Index x0, Index x1) {
                        const Index line = plan_.pitch * at.images, plane = plan_.box[1] * line;
                        const Index first = (z0 - at.from[0]) * plane + (y0 - at.from[1]) * line;
                        const Index a = first + (x0 - at.x0) * at.images, b = a + item_.x(dx).shift * at.images;
                        const Steps steps{z1 - z0, y1 - y0, (x1 - x0) * at.images, plane, line};
                        const Index to = item_.segment(zs, ys, dx) + xs;
                        const bool lower = item_.same_lines && dx == 0;
                        const Panels<T> A = panels(A_);
                        tile_.multiply(steps, {A.data + a * A.ld, A.ld, A.stride}, {B.data + b * B.ld, B.ld, B.stride},
                                       item_.height, item_.width, lower, true, sums_ + to * plan_.square(), plan_.edge,
                                       {});
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
                for (Index c = 0; c < item_.height; ++c) {
                    const T* const column = A.data + c / tile_.panel_columns * A.stride + c % tile_.panel_columns;
                    const Index first = p * steps.plane_stride + l * steps.line_stride;
                    double sum = 0;
                    for (Index k = 0; k < steps.depth; ++k) sum += static_cast<double>(column[(first + k) * A.ld]);
                    bias_[to * plan_.edge + c] += sum;
                }
    }

    const Tile<T>& tile_;
    const UpdateConvFactors<T>& task_;
    Index b_;
    const ShiftItem<T>& item_;
    const ShiftPlan<T>& plan_;
    const ConvAxis* axes_;
    T *A_ = nullptr, *B_ = nullptr, *sums_ = nullptr;
    double *exact_ = nullptr, *bias_ = nullptr;
};

}  // namespace

template <class T>
bool prefers_shifts(const Tile<T>& tile, const UpdateConvFactors<T>& task) {
    const ConvAxis* const axis = task.geometry.axis;
    if (!task.geometry.unit_stride() || task.geometry.offsets() == 1) return false;
    const Index p = task.images.channels * task.geometry.offsets();
    const double channels = static_cast<double>(tile.padded(task.images.channels));
    double differences = 1;
    for (int a = 0; a < 3; ++a) differences *= static_cast<double>(2 * axis[a].kernel - 1);
    const double by_shifts = differences * channels * channels;
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
            for (Index part = 0; part < ShiftItem<T>::parts(plans.back()); ++part) {
                const ShiftItem<T> item(plans.back(), group[t], part);
                if (item.needed()) items.push_back({t, b, 1, part, item.flops()});
            }
    }
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        const ShiftItem<T> shifts(plans[static_cast<std::size_t>(item.task)], task, item.part);
        Correlation<T>(tile, task, item.first, shifts).run();
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
