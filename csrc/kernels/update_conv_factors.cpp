#include "kernels/update_conv_factors.h"

#include "cpu/second_moments.h"
#include "kernels/update_conv_factors_shifted.h"

namespace curvblas::cpu {
namespace {

/// The patches of one matrix of a task as rows, with the implicit 1 of the bias appended. The lines of the image that a
/// run of neighbouring patches sees are gathered first, zeros around them: then each column of the patches is a piece
/// of one of them, whatever the stride, the padding, the dtype and the layout of the images.
template <class T>
class Patches {
  public:
    Patches(const Patches&) = delete;
    Patches(const Tile<T>& tile, const UpdateConvFactors<T>& task, Index b)
        : tile_(tile), task_(task), b_(b), images_(task.images), geometry_(task.geometry), along_(geometry_.axis[2]) {
        skip_unseen();
        if (geometry_.offsets() == 1) join_lines();
        stride_ = along_.outputs() > 1 ? along_.stride : 1;
        size_ = images_.channels * geometry_.offsets();
    }

    Index rows() const { return images_.N * geometry_.positions(); }
    Index most_packed() const { return rows() / 16; }
    Index scratch_bytes() const {
        return bytes<T>(gathered_size(std::min(most_run, along_.outputs()))) + bytes<Phase>(stride_);
    }
    bool weighted() const { return false; }
    bool in_panels() const { return false; }
    Panels<const T> in_place(Index) const { return {}; }
    Ahead ahead(Index, Index, Index, Index) const { return {}; }
    MovingAverage<T> average() const { return average_of(task_, b_); }

    void pack(Index begin, Index count, Index first, Index columns, bool, const Panels<T>& to) const {
        const Index width = along_.outputs();
        for (Index done = 0, run; done < count; done += run) {
            run = std::min({count - done, width - (begin + done) % width, most_run});
            pack_run(Run(geometry_, begin + done, run), first, columns, {to.data + done * to.ld, to.ld, to.stride});
        }
    }

  private:
    static constexpr Index most_run = 512;  // patches

    /// Along an axis where the kernel has one element, the image is what outputs see.
    void skip_unseen() {
        for (int a = 0; a < 3; ++a) {
            ConvAxis& axis = geometry_.axis[a];
            if (axis.kernel != 1 || axis.padding != 0) continue;
            images_.stride[a] *= axis.stride;
            axis.size = axis.outputs(), axis.stride = 1;
        }
    }

    /// A kernel of one element that sees every position takes an image whose lines follow each other as one line.
    void join_lines() {
        ConvAxis* const axis = geometry_.axis;
        for (const ConvAxis& a : geometry_.axis)
            if (a.stride != 1 || a.padding != 0) return;
        if (images_.stride[1] != axis[2].size * images_.stride[2] && axis[1].size > 1) return;
        if (images_.stride[0] != axis[1].size * axis[2].size * images_.stride[2] && axis[0].size > 1) return;
        axis[2].size *= axis[1].size * axis[0].size;
        axis[0].size = axis[1].size = 1;
    }

    /// A patch is an element of each channel, and a run of them evenly spaced in memory.
    bool is_image() const {
        return geometry_.offsets() == 1 && geometry_.axis[0].padding == 0 && geometry_.axis[1].padding == 0 &&
               along_.padding == 0 && (stride_ == 1 || images_.c_stride == 1);
    }
    /// Gathered, the positions of a line that are `stride` apart are neighbours: `stride` phases, one after the other.
    Index phase_size(Index run) const {
        const Index length = (run - 1) * stride_ + (along_.kernel - 1) * along_.dilation + 1;
        return (length + stride_ - 1) / stride_;
    }
    Index line_size(Index run) const { return phase_size(run) * stride_; }
    /// Elements of lines that stay in the first-level cache; at least of one.
    Index gathered_size(Index run) const { return std::max<Index>(4096, line_size(run)); }

    /// Neighbouring patches, the first at output (z, y, x) of image n.
    struct Run {
        Index n, z, y, x, count;

        Run(const ConvGeometry& geometry, Index r, Index count_) : count(count_) {
            const ConvAxis* const axis = geometry.axis;
            x = r % axis[2].outputs(), r /= axis[2].outputs();
            y = r % axis[1].outputs(), r /= axis[1].outputs();
            z = r % axis[0].outputs(), n = r / axis[0].outputs();
        }
    };
    /// One phase of the lines of a run: the input positions x + i stride, inside the image for i in [low, high).
    struct Phase {
        Index x, low, high;
    };
    /// A line of the image that the kernel sees, and the kernel offset `kx` along it.
    struct Line {
        Index c, kz, ky, kx;

        Line(const ConvGeometry& geometry, Index column) {
            const ConvAxis* const axis = geometry.axis;
            kx = column % axis[2].kernel, column /= axis[2].kernel;
            ky = column % axis[1].kernel, column /= axis[1].kernel;
            kz = column % axis[0].kernel, c = column / axis[0].kernel;
        }
        void next(const ConvGeometry& geometry) {
            kx = 0;
            if (++ky == geometry.axis[1].kernel) ky = 0, ++kz;
            if (kz == geometry.axis[0].kernel) kz = 0, ++c;
        }
    };

    void pack_run(const Run& run, Index first, Index columns, const Panels<T>& to) const {
        const Index end = std::min(first + columns, size_);
        if (is_image()) {
            const ConvAxis* const axis = geometry_.axis;
            return tile_.pack({.data = images_.at(b_, run.n, first, axis[0].position(run.z, 0),
                                                  axis[1].position(run.y, 0), along_.position(run.x, 0)),
                               .dtype = images_.dtype,
                               .count = run.count,
                               .columns = end - first,
                               .row_stride = images_.stride[2] * stride_,
                               .column_stride = images_.c_stride,
                               .ones = end < first + columns},
                              to);
        }
        Scratch<Patches> scratch(scratch_bytes());
        T* const gathered = scratch.template take<T>(gathered_size(run.count));
        Phase* const phases = scratch.template take<Phase>(stride_);
        for (Index p = 0; p < stride_; ++p) phases[p] = phase_of(run, p);
        constexpr Index most_columns = 512;
        const T* begins[most_columns];
        PackedFrom<T> from{.data = nullptr,
                           .dtype = dtype_of<T>,
                           .count = run.count,
                           .columns = 0,
                           .row_stride = 1,
                           .column_stride = 0,
                           .ones = false,
                           .fill = false};
        from.begins = begins;
        const Index line_size = this->line_size(run.count), lines = gathered_size(run.count) / line_size;
        Line line(geometry_, first);
        do {
            from.columns = 0;
            for (Index l = 0; l < lines && first < end && from.columns < most_columns; ++l) {
                T* const here = gathered + l * line_size;
                gather(run, phases, line, here);
                const Index count = std::min({along_.kernel - line.kx, end - first, most_columns - from.columns});
                find_columns(here, phase_size(run.count), line.kx, count, begins + from.columns);
                from.columns += count, first += count, line.kx += count;
                if (line.kx == along_.kernel) line.next(geometry_);
            }
            from.ones = first == end && from.first + from.columns < columns, from.fill = first == end;
            tile_.pack(from, to);
            from.first += from.columns;
        } while (first < end);
    }

    Phase phase_of(const Run& run, Index p) const {
        const Index x = along_.position(run.x, 0) + p;
        const auto reaches = [&](Index position) {  // the first i with x + i stride_ >= position
            return std::clamp<Index>((position - x + stride_ - 1) / stride_, 0, phase_size(run.count));
        };
        return {x, reaches(0), std::max(reaches(0), reaches(along_.size))};
    }

    /// Where the columns of kernel offsets [kx, kx + count) begin in a gathered line.
    void find_columns(const T* line, Index phase_size, Index kx, Index count, const T** begins) const {
        const Index skip = along_.dilation / stride_, turn = along_.dilation % stride_;
        Index i = kx * along_.dilation / stride_, phase = kx * along_.dilation % stride_;
        for (Index k = 0; k < count; ++k) {
            begins[k] = line + phase * phase_size + i;
            i += skip, phase += turn;
            if (phase >= stride_) phase -= stride_, ++i;
        }
    }

    void gather(const Run& run, const Phase* phases, const Line& line, T* to) const {
        const ConvAxis* const axis = geometry_.axis;
        const Index z = axis[0].position(run.z, line.kz), y = axis[1].position(run.y, line.ky);
        const Index count = phase_size(run.count), step = images_.stride[2] * stride_;
        if (z < 0 || z >= axis[0].size || y < 0 || y >= axis[1].size) {
            std::fill_n(to, count * stride_, T(0));
            return;
        }
        for (Index p = 0; p < stride_; ++p, to += count) {
            const auto& [x, low, high] = phases[p];
            for (Index i = 0; i < low; ++i) to[i] = 0;
            for (Index i = high; i < count; ++i) to[i] = 0;
            if (low == high) continue;
            const void* const seen = images_.at(b_, run.n, line.c, z, y, x + low * stride_);
            if (images_.dtype == dtype_of<T>)
                for (Index i = low; i < high; ++i) to[i] = static_cast<const T*>(seen)[(i - low) * step];
            else
                tile_.pack({.data = seen,
                            .dtype = images_.dtype,
                            .count = high - low,
                            .columns = 1,
                            .row_stride = step,
                            .column_stride = 0,
                            .fill = false},
                           {to + low, 1, 0});
        }
    }

    const Tile<T>& tile_;
    const UpdateConvFactors<T>& task_;
    Index b_, size_, stride_;  ///< along x; 1 where there is one output
    Images images_;
    ConvGeometry geometry_;
    const ConvAxis& along_;
};

template <class T>
using ByPatches = SecondMoments<T, UpdateConvFactors<T>, Patches<T>>;

/// The tasks that each of the two ways is for.
template <class T>
struct Ways {
    std::vector<UpdateConvFactors<T>> shifted, patches;

    Ways(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
        for (const auto& task : group)
            (prefers_shifts(queue.micro().tile<T>(), task) ? shifted : patches).push_back(task);
    }
};

}  // namespace

template <class T>
void update_conv_factors(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const Ways<T> ways(queue, group);
    if (!ways.shifted.empty()) update_by_shifts<T>(queue, ways.shifted);
    if (!ways.patches.empty()) ByPatches<T>(queue, ways.patches).run();
}

template <class T>
Index conv_workspace_bytes(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const Ways<T> ways(queue, group);
    return shifts_workspace_bytes<T>(queue, ways.shifted) + ByPatches<T>(queue, ways.patches).workspace_bytes();
}

template void update_conv_factors(const Queue&, std::span<const UpdateConvFactors<float>>);
template void update_conv_factors(const Queue&, std::span<const UpdateConvFactors<double>>);
template Index conv_workspace_bytes<float>(const Queue&, std::span<const UpdateConvFactors<float>>);
template Index conv_workspace_bytes<double>(const Queue&, std::span<const UpdateConvFactors<double>>);

}  // namespace curvblas::cpu
