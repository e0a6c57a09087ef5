#include "kernels/update_conv_factors_shifted.h"

#include "cpu/queue.h"
#include "cpu/scratch.h"
#include "kernels/update_conv_factors_emission.h"

namespace curvblas::cpu {
namespace {

/// How far the shifts of an item reach along one axis; 0 is within.
struct Reach {
    Index low = 0, high = 0;

    void include(Index shift) { low = std::min(low, shift), high = std::max(high, shift); }
    Index length() const { return high - low; }
};

/// The sums of one item: all images, packed a box at a time, each segment of each difference in a square of its own.
template <class T>
class Correlation {
  public:
    Correlation(const Tile<T>& tile, const UpdateConvFactors<T>& task, Index b, const ShiftItem<T>& item)
        : tile_(tile), task_(task), b_(b), item_(item), plan_(item.plan), axes_(task.geometry.axis) {
        for (const LineShift& shift : item.shifts) {
            if (shift.same_lines) same_lines_ = &shift;
            z_.include(shift.z->shift), y_.include(shift.y->shift);
        }
    }

    Index scratch_bytes() const { return bytes<T>(sums_size()) + bytes<double>(bias_size()) + bytes<T>(work_size()); }

    void run() {
        Scratch<Correlation> scratch(scratch_bytes());
        sums_ = scratch.template take<T>(sums_size());
        bias_ = scratch.template take<double>(bias_size());
        T* const work = scratch.template take<T>(work_size());
        B_ = panels(work), A_ = item_.diagonal ? B_ : panels(work + panels_size());
        Index summed = 0;
        bool first = true;
        clear();
        for_boxes([&](const Box& at) {
            if (summed > ShiftPlan<T>::exact_positions) {
                emit(work, first, false);
                clear();
                summed = 0, first = false;
            }
            sum_box(at);
            summed += (at.to[0] - at.from[0]) * (at.to[1] - at.from[1]) * (at.to[2] - at.from[2]) * at.images;
        });
        emit(work, first, true);
    }

  private:
    /// Packed positions and images: [from, to) along each axis, the x of packed lines from x0 to x1.
    struct Box {
        Index from[3], to[3], x0, x1, n, images;
    };

    Index sums_size() const { return item_.segments * plan_.square(); }
    Index bias_size() const { return task_.bias && same_lines_ ? same_lines_->segments() * plan_.edge : 0; }
    /// Packed positions, or what the emission puts together: never both.
    Index work_size() const {
        const Index emission =
            plan_.whole ? BlockEmission<T>::scratch_size(plan_) : LineEmission<T>::scratch_size(plan_);
        return std::max(emission, panels_size() * (item_.diagonal ? 1 : 2));
    }
    Index planes() const { return std::min(plan_.box[0] + z_.length(), axes_[0].size); }
    Index lines() const { return std::min(plan_.box[1] + y_.length(), axes_[1].size); }
    Index panel_stride() const {
        const Index rows = planes() * lines() * plan_.pitch * plan_.images;
        return rows * tile_.panel_ld(plan_.edge) + 64 / static_cast<Index>(sizeof(T));
    }
    Index panels_size() const { return tile_.panels(plan_.edge) * panel_stride(); }
    Panels<T> panels(T* data) const { return {data, tile_.panel_ld(plan_.edge), panel_stride()}; }

    void clear() {
        std::fill_n(sums_, sums_size(), T(0));
        std::fill_n(bias_, bias_size(), 0.0);
    }

    /// The average takes the sums; after the first time it keeps what it has.
    void emit(T* scratch, bool first, bool last) const {
        Averaged<T> factor{average_of(task_, b_), task_.C[b_], task_.updated[b_]};
        if (!first) factor.go_on();
        if (plan_.whole)
            BlockEmission<T>(item_, sums_, scratch).run(factor, last);
        else
            LineEmission<T>(item_, sums_, scratch).run(factor);
        if (task_.bias && same_lines_) {
            const double rows = static_cast<double>(task_.images.N) * static_cast<double>(task_.geometry.positions());
            emit_bias(item_, *same_lines_, bias_, first ? rows : 0.0, factor);
        }
    }

    template <class F>
    void for_boxes(const F& f) const {
        const Index longest = (axes_[2].kernel - 1) * axes_[2].dilation;
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
                        f(at);
                    }
                }
            }
        }
    }

    void sum_box(const Box& at) {
        pack(at, item_.j0, item_.width, z_, y_, B_);
        if (!item_.diagonal) pack(at, item_.i0, item_.height, {}, {}, A_);
        for (const LineShift& shift : item_.shifts)
            for_segments(*shift.z, at.from[0], at.to[0], [&](Index zs, Index z0, Index z1) {
                for_segments(*shift.y, at.from[1], at.to[1], [&](Index ys, Index y0, Index y1) {
                    sum_lines(at, shift, shift.first + (zs * shift.y->segments() + ys) * shift.line_segments,
                              {{z0, y0, at.from[2]}, {z1, y1, at.to[2]}});
                });
            });
    }

    struct Part {  ///< [from, to) along each axis
        Index from[3], to[3];
    };

    /// All differences along x for the lines of one segment, which begins at square `first`. Where many positions of a
    /// line belong together, a few lines at a time, which the first-level cache keeps for all differences; the few at
    /// the ends of the lines, all lines at a time.
    void sum_lines(const Box& at, const LineShift& shift, Index first, const Part& all) {
        constexpr Index few = 160;  // positions
        const Index length = all.to[2] - all.from[2];
        const Index lines = std::max<Index>(few / (length * at.images), 1), step = std::max<Index>(few / at.images, 1);
        Part some = all;
        for (some.from[0] = all.from[0]; some.from[0] < all.to[0]; ++some.from[0])
            for (some.from[1] = all.from[1]; some.from[1] < all.to[1]; some.from[1] += lines)
                for (some.from[2] = all.from[2]; some.from[2] < all.to[2]; some.from[2] += step) {
                    some.to[0] = some.from[0] + 1, some.to[1] = std::min(some.from[1] + lines, all.to[1]);
                    some.to[2] = std::min(some.from[2] + step, all.to[2]);
                    sum_part(at, shift, first, some, true);
                }
        sum_part(at, shift, first, all, false);
    }

    /// The long segments along x, or the short ones.
    void sum_part(const Box& at, const LineShift& shift, Index square, const Part& part, bool long_ones) {
        for (Index dx = shift.first_dx; dx < axes_[2].kernel; square += item_.x(dx).segments(), ++dx)
            for_segments(item_.x(dx), part.from[2], part.to[2], [&](Index xs, Index x0, Index x1) {
                const auto cut = item_.x(dx).cuts.begin() + xs;
                if ((2 * (cut[1] - cut[0]) >= axes_[2].size) != long_ones) return;
                const Index line = plan_.pitch * at.images, plane = lines() * line;
                const Index a = row(at, part.from[0], part.from[1], x0);
                const Index b =
                    row(at, part.from[0] + shift.z->shift, part.from[1] + shift.y->shift, x0 + item_.x(dx).shift);
                const Steps steps{part.to[0] - part.from[0], part.to[1] - part.from[1], (x1 - x0) * at.images, plane,
                                  line};
                const bool lower = shift.same_lines && dx == 0;
                tile_.multiply(steps, {A_.data + a * A_.ld, A_.ld, A_.stride}, {B_.data + b * B_.ld, B_.ld, B_.stride},
                               item_.height, item_.width, lower, true, sums_ + (square + xs) * plan_.square(),
                               plan_.edge, {});
                if (lower && task_.bias) sum_rows(steps, a, square + xs - shift.first);
            });
    }

    /// The packed row of a position.
    Index row(const Box& at, Index z, Index y, Index x) const {
        const Index first_plane = std::max<Index>(at.from[0] + z_.low, 0);
        const Index first_line = std::max<Index>(at.from[1] + y_.low, 0);
        const Index line = (z - first_plane) * lines() + y - first_line;
        return (line * plan_.pitch + x - at.x0) * at.images;
    }

    /// Calls f(s, begin, end) for the parts of segments that lie in [from, to).
    template <class F>
    static void for_segments(const AxisDifference& axis, Index from, Index to, const F& f) {
        for (int s = 0; s < axis.segments(); ++s) {
            const Index begin = std::max(axis.cuts[static_cast<std::size_t>(s)], from);
            const Index end = std::min(axis.cuts[static_cast<std::size_t>(s) + 1], to);
            if (begin < end) f(s, begin, end);
        }
    }

    /// The lines of a box, and of what the shifts reach around it, where they are inside the image: position, then
    /// image.
    void pack(const Box& at, Index channel, Index count, const Reach& along_z, const Reach& along_y,
              const Panels<T>& to) const {
        const Images& images = task_.images;
        const auto first = [&](int a, const Reach& reach) { return std::max<Index>(at.from[a] + reach.low, 0); };
        const auto end = [&](int a, const Reach& reach) { return std::min(at.to[a] + reach.high, axes_[a].size); };
        // Whole lines that follow each other in memory do so in the packed as well.
        const bool together = at.x1 - at.x0 == axes_[2].size && images.stride[1] == axes_[2].size * images.stride[2];
        const Index y0 = first(1, along_y), y1 = end(1, along_y), step = together ? std::max<Index>(y1 - y0, 1) : 1;
        for (Index z = first(0, along_z); z < end(0, along_z); ++z)
            for (Index y = y0; y < y1; y += step)
                for (Index n = 0; n < at.images; ++n)
                    tile_.pack({.data = images.at(b_, at.n + n, channel, z, y, at.x0),
                                .dtype = images.dtype,
                                .count = (at.x1 - at.x0) * step,
                                .columns = count,
                                .row_stride = images.stride[2],
                                .column_stride = images.c_stride,
                                .step = at.images},
                               {to.data + (row(at, z, y, at.x0) + n) * to.ld, to.ld, to.stride});
    }

    /// Adds up packed rows of A, from row `first` on, for the row and column of the bias.
    void sum_rows(const Steps& steps, Index first, Index segment) {
        double* const sums = bias_ + segment * plan_.edge;
        for (Index p = 0; p < steps.planes; ++p)
            for (Index l = 0; l < steps.lines; ++l)
                for (Index j = 0; j < item_.height; j += tile_.panel_columns) {
                    const Index start = first + p * steps.plane_stride + l * steps.line_stride;
                    const Index columns = std::min(tile_.panel_columns, item_.height - j);
                    const T* row = A_.data + j / tile_.panel_columns * A_.stride + start * A_.ld;
                    for (Index k = 0; k < steps.depth; ++k, row += A_.ld)
                        for (Index c = 0; c < columns; ++c) sums[j + c] += static_cast<double>(row[c]);
                }
    }

    const Tile<T>& tile_;
    const UpdateConvFactors<T>& task_;
    Index b_;
    const ShiftItem<T>& item_;
    const ShiftPlan<T>& plan_;
    const ConvAxis* axes_;
    const LineShift* same_lines_ = nullptr;
    Reach z_, y_;
    Panels<T> A_{}, B_{};
    T* sums_ = nullptr;
    double* bias_ = nullptr;
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
    return 1.5 * by_shifts < by_patches && ShiftPlan<T>::fits(tile, task);
}

template <class T>
void update_by_shifts(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const Tile<T>& tile = queue.micro().tile<T>();
    std::vector<ShiftPlan<T>> plans;
    std::vector<Item> items;
    plans.reserve(group.size());
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Images& images = group[t].images;
        const ConvAxis* const axis = group[t].geometry.axis;
        const Index positions = images.N * axis[0].size * axis[1].size * axis[2].size;
        plans.emplace_back(tile, group[t]);
        for (Index part = 0; part < ShiftItem<T>::parts(plans.back()); ++part) {
            const ShiftItem<T> item(plans.back(), part);
            for (Index b = 0; b < group[t].updated.batch && !item.shifts.empty(); ++b)
                items.push_back({t, b, 1, part, item.flops(static_cast<double>(positions))});
        }
    }
    queue.run(items, [&](const Item& item) {
        const ShiftItem<T> shifts(plans[static_cast<std::size_t>(item.task)], item.part);
        Correlation<T>(tile, group[item.task], item.first, shifts).run();
    });
}

template <class T>
Index shifts_workspace_bytes(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const Tile<T>& tile = queue.micro().tile<T>();
    Index most = 0;
    for (const auto& task : group) {
        const ShiftPlan<T> plan(tile, task);
        for (Index part = 0; part < ShiftItem<T>::parts(plan); ++part) {
            const ShiftItem<T> item(plan, part);
            if (!item.shifts.empty()) most = std::max(most, Correlation<T>(tile, task, 0, item).scratch_bytes());
        }
    }
    return most * Pool::instance().threads();
}

template bool prefers_shifts(const Tile<float>&, const UpdateConvFactors<float>&);
template bool prefers_shifts(const Tile<double>&, const UpdateConvFactors<double>&);
template void update_by_shifts(const Queue&, std::span<const UpdateConvFactors<float>>);
template void update_by_shifts(const Queue&, std::span<const UpdateConvFactors<double>>);
template Index shifts_workspace_bytes<float>(const Queue&, std::span<const UpdateConvFactors<float>>);
template Index shifts_workspace_bytes<double>(const Queue&, std::span<const UpdateConvFactors<double>>);

}  // namespace curvblas::cpu
