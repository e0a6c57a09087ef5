#include "kernels/update_conv_factors.h"

#include "cpu/second_moments.h"
#include "kernels/update_conv_factors_shifted.h"

namespace curvblas::cpu {
namespace {

/// The patches of one matrix of a task as rows, with the implicit 1 of the bias appended. Where a kernel offset sees
/// only what is inside the image, a column of them is an evenly strided line of it.
template <class T>
class Patches {
  public:
    Patches(const Tile<T>& tile, const UpdateConvFactors<T>& task, Index b)
        : tile_(tile), task_(task), b_(b), images_(task.images), geometry_(task.geometry) {
        if (geometry_.offsets() == 1) join_lines();
        size_ = images_.channels * geometry_.offsets();
    }

    Index rows() const { return images_.N * geometry_.positions(); }
    Index most_packed() const { return rows() / 16; }
    bool weighted() const { return false; }
    bool in_panels() const { return false; }
    Panels<const T> in_place(Index) const { return {}; }
    Ahead ahead(Index, Index, Index, Index) const { return {}; }
    MovingAverage<T> average() const { return average_of(task_, b_); }

    void pack(Index begin, Index count, Index first, Index columns, bool, const Panels<T>& to) const {
        const ConvAxis& along = geometry_.axis[2];
        // Outputs [inner, outer) of a line see the image with all offsets along it.
        const Index width = along.outputs(), reach = (along.kernel - 1) * along.dilation;
        const Index inner = std::min(width, (along.padding + along.stride - 1) / along.stride);
        const Index room = along.size + along.padding - reach;
        const Index outer = std::clamp((room + along.stride - 1) / along.stride, inner, width);
        for (Index done = 0, run; done < count; done += run) {
            const Index x = (begin + done) % width;
            run = x < inner || x >= outer ? 1 : std::min(count - done, outer - x);
            pack_run(begin + done, run, first, columns, {to.data + done * to.ld, to.ld, to.stride});
        }
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

    /// Neighbouring patches, from patch r on, for which each kernel offset is inside the image or outside it.
    void pack_run(Index r, Index count, Index first, Index columns, const Panels<T>& to) const {
        const ConvAxis* const axis = geometry_.axis;
        const Index stored = std::min(columns, size_ - first), x = r % axis[2].outputs();
        const Index line = r / axis[2].outputs(), y = line % axis[1].outputs(), plane = line / axis[1].outputs();
        const Index z = plane % axis[0].outputs(), n = plane / axis[0].outputs();
        PackedFrom<T> from{.data = nullptr,
                           .dtype = images_.dtype,
                           .count = count,
                           .columns = 0,
                           .row_stride = images_.stride[2] * axis[2].stride,
                           .column_stride = images_.c_stride,
                           .ones = false,
                           .fill = false};
        if (geometry_.offsets() == 1 && Seen(*this, n, z, y, x, 0).next()) {
            from.data =
                images_.at(b_, n, first, axis[0].position(z, 0), axis[1].position(y, 0), axis[2].position(x, 0));
            from.columns = stored, from.ones = stored < columns, from.fill = true;
            return tile_.pack(from, to);
        }
        constexpr Index most = 96;  // columns at a time
        const void* begins[most];
        from.begins = begins;
        Seen seen(*this, n, z, y, x, first);
        do {
            from.columns = std::min(most, stored - from.first);
            for (Index j = 0; j < from.columns; ++j) begins[j] = seen.next();
            const bool last = from.first + from.columns == stored;
            from.ones = last && stored < columns, from.fill = last;
            tile_.pack(from, to);
            from.first += from.columns;
        } while (from.first < stored);
    }

    /// What one patch sees, column by column from `first` on; null outside the image.
    class Seen {
      public:
        Seen(const Patches& of, Index n, Index z, Index y, Index x, Index first)
            : images_(of.images_),
              axis_(of.geometry_.axis),
              image_(static_cast<const std::byte*>(of.images_.at(of.b_, n, 0, 0, 0, 0))),
              z_(z),
              y_(y),
              x0_(axis_[2].position(x, 0)),
              c_(first / of.geometry_.offsets()) {
            const Index k = first % of.geometry_.offsets();
            kx_ = k % axis_[2].kernel, ky_ = k / axis_[2].kernel % axis_[1].kernel;
            kz_ = k / axis_[2].kernel / axis_[1].kernel;
            find_line();
        }
        const void* next() {
            const Index x = x0_ + kx_ * axis_[2].dilation;
            const void* const here = line_ && x >= 0 && x < axis_[2].size
                                         ? line_ + x * images_.stride[2] * item_size(images_.dtype)
                                         : nullptr;
            if (++kx_ == axis_[2].kernel) {
                kx_ = 0;
                if (++ky_ == axis_[1].kernel) ky_ = 0, ++kz_;
                if (kz_ == axis_[0].kernel) kz_ = 0, ++c_;
                find_line();
            }
            return here;
        }

      private:
        void find_line() {
            const Index z = axis_[0].position(z_, kz_), y = axis_[1].position(y_, ky_);
            const bool inside = z >= 0 && z < axis_[0].size && y >= 0 && y < axis_[1].size;
            const Index offset = c_ * images_.c_stride + z * images_.stride[0] + y * images_.stride[1];
            line_ = inside ? image_ + offset * item_size(images_.dtype) : nullptr;
        }

        const Images& images_;
        const ConvAxis* const axis_;
        const std::byte *const image_, *line_ = nullptr;
        Index z_, y_, x0_, c_, kz_, ky_, kx_;
    };

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
