#include "kernels/update_conv_factors.h"

#include "cpu/second_moments.h"
#include "kernels/update_conv_factors_shifted.h"

namespace curvblas::cpu {
namespace {

/// The patches of one matrix of a task as rows, with the implicit 1 of the bias appended. Packed, the channels of one
/// kernel offset are neighbours: they lie evenly in memory, so that lines of an image are packed several at a time.
template <class T>
class Patches {
  public:
    Patches(const Tile<T>& tile, const UpdateConvFactors<T>& task, Index b)
        : tile_(tile), task_(task), b_(b), images_(task.images), geometry_(task.geometry) {
        if (geometry_.offsets() == 1) join_lines();
        size_ = images_.channels * geometry_.offsets();
    }

    Index rows() const { return images_.N * geometry_.positions(); }
    Index most_packed() const { return rows() / 32; }
    bool weighted() const { return false; }
    bool in_panels() const { return false; }
    Panels<const T> in_place(Index) const { return {}; }
    Ahead ahead(Index, Index, Index, Index) const { return {}; }
    MovingAverage<T> average() const { return average_of(task_, b_); }
    bool in_order() const { return geometry_.offsets() == 1 || images_.channels == 1; }
    Index index(Index column) const {
        if (column == size_) return column;
        return column % images_.channels * geometry_.offsets() + column / images_.channels;
    }

    void pack(Index begin, Index count, Index first, Index columns, bool, const Panels<T>& to) const {
        const Index width = geometry_.axis[2].outputs(), stored = std::min(columns, size_ - first);
        for (Index done = 0, run; done < count; done += run) {
            const Index x = (begin + done) % width;
            run = std::min(count - done, width - x);
            pack_line(begin + done, run, first, stored, {to.data + done * to.ld, to.ld, to.stride});
        }
        for (Index j = stored; j < tile_.padded(columns); ++j) fill(to, j, 1, 0, count, j < columns ? T(1) : T(0));
    }

  private:
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

    /// Patches that differ in x only, from patch r on.
    void pack_line(Index r, Index count, Index first, Index columns, const Panels<T>& to) const {
        const ConvAxis *const axis = geometry_.axis, &along = axis[2];
        const Index x = r % along.outputs(), y = r / along.outputs() % axis[1].outputs();
        const Index plane = r / along.outputs() / axis[1].outputs();
        const Index z = plane % axis[0].outputs(), n = plane / axis[0].outputs();
        for (Index j = 0, end; j < columns; j = end) {
            const Index offset = (first + j) / images_.channels, c = (first + j) % images_.channels;
            end = std::min(columns, j + images_.channels - c);
            const Index kx = offset % along.kernel, ky = offset / along.kernel % axis[1].kernel;
            const Index iz = axis[0].position(z, offset / along.kernel / axis[1].kernel);
            const Index iy = axis[1].position(y, ky);
            const bool inside = iz >= 0 && iz < axis[0].size && iy >= 0 && iy < axis[1].size;
            // Outputs [from, past) of the line see the image with this offset.
            const Index start = along.position(x, kx), step = along.stride;
            const Index low = start >= 0 ? 0 : std::min(count, (-start + step - 1) / step);
            const Index high = start < along.size ? std::min(count, (along.size - start + step - 1) / step) : 0;
            const Index from = inside ? low : count, past = inside ? std::max(low, high) : count;
            fill(to, j, end - j, 0, from, T(0));
            if (past > from)
                tile_.pack({.data = images_.at(b_, n, c, iz, iy, start + from * step),
                            .dtype = images_.dtype,
                            .count = past - from,
                            .columns = end - j,
                            .row_stride = images_.stride[2] * step,
                            .column_stride = images_.c_stride,
                            .fill = false,
                            .first = j},
                           {to.data + from * to.ld, to.ld, to.stride});
            fill(to, j, end - j, past, count, T(0));
        }
    }

    /// Columns [first, first + columns) of the packed rows [from, end).
    void fill(const Panels<T>& to, Index first, Index columns, Index from, Index end, T value) const {
        for (Index k = from; k < end; ++k)
            for (Index j = first; j < first + columns; ++j)
                to.data[j / tile_.panel_columns * to.stride + k * to.ld + j % tile_.panel_columns] = value;
    }

    const Tile<T>& tile_;
    const UpdateConvFactors<T>& task_;
    Index b_, size_;
    Images images_;
    ConvGeometry geometry_;
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
    return std::max(shifts_workspace_bytes<T>(queue, ways.shifted),
                    ByPatches<T>(queue, ways.patches).workspace_bytes());
}

template void update_conv_factors(const Queue&, std::span<const UpdateConvFactors<float>>);
template void update_conv_factors(const Queue&, std::span<const UpdateConvFactors<double>>);
template Index conv_workspace_bytes<float>(const Queue&, std::span<const UpdateConvFactors<float>>);
template Index conv_workspace_bytes<double>(const Queue&, std::span<const UpdateConvFactors<double>>);

}  // namespace curvblas::cpu
