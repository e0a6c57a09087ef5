#include "kernels/update_conv_factors.h"

#include "cpu/half.h"
#include "cpu/second_moments.h"
#include "kernels/update_conv_factors_shifted.h"

namespace curvblas::cpu {
namespace {

/// The patches of one matrix of a task as rows, with the implicit 1 of the bias appended.
template <class T>
class Patches {
  public:
    Patches(const Tile<T>& tile, const UpdateConvFactors<T>& task, Index b)
        : tile_(tile), task_(task), b_(b), size_(task.images.channels * task.geometry.offsets()) {}

    Index rows() const { return task_.images.N * task_.geometry.positions(); }
    bool weighted() const { return false; }
    bool in_panels() const { return false; }
    Panels<const T> in_place(Index) const { return {}; }
    MovingAverage<T> average() const { return average_of(task_, b_); }

    void pack(Index begin, Index count, Index first, Index columns, bool, const Panels<T>& to) const {
        const Index width = task_.geometry.axis[2].outputs();
        const Index stored = std::min(columns, size_ - first);
        for (Index done = 0, run; done < count; done += run) {
            const Index x = (begin + done) % width;
            run = std::min(count - done, width - x);
            pack_line(begin + done, run, first, stored, {to.data + done * to.ld, to.ld, to.stride});
        }
        fill_up(count, stored, columns, to);
    }

  private:
    /// Patches that differ in x only, from patch r on.
    void pack_line(Index r, Index count, Index first, Index columns, const Panels<T>& to) const {
        const ConvAxis *const axis = task_.geometry.axis, &along = axis[2];
        const Index x = r % along.outputs(), y = r / along.outputs() % axis[1].outputs();
        const Index plane = r / along.outputs() / axis[1].outputs();
        const Index z = plane % axis[0].outputs(), n = plane / axis[0].outputs();
        for (Index j = 0; j < columns;) {
            const Index element = first + j, kx = element % along.kernel;
            const Index ky = element / along.kernel % axis[1].kernel;
            const Index outer = element / along.kernel / axis[1].kernel;
            const Index kz = outer % axis[0].kernel, c = outer / axis[0].kernel;
            const Index iz = axis[0].position(z, kz), iy = axis[1].position(y, ky);
            const bool inside = iz >= 0 && iz < axis[0].size && iy >= 0 && iy < axis[1].size;
            const Index last = std::min(along.kernel, kx + columns - j);
            for (Index k = kx; k < last; ++k, ++j) {
                T* const column = to.data + j / tile_.panel_columns * to.stride + j % tile_.panel_columns;
                pack_offset(inside ? task_.images.at(b_, n, c, iz, iy, 0) : nullptr, x, count, k, column, to.ld);
            }
        }
    }

    /// What kernel offset k sees along a line of the image (null: nothing) from output x on.
    void pack_offset(const void* line, Index x, Index count, Index k, T* to, Index ld) const {
        const ConvAxis& along = task_.geometry.axis[2];
        const Index start = along.position(x, k), step = along.stride;
        Index from = start >= 0 ? 0 : (-start + step - 1) / step;
        Index end = start < along.size ? (along.size - start + step - 1) / step : 0;
        from = std::min(from, count), end = line ? std::clamp(end, from, count) : from;
        for (Index i = 0; i < from; ++i) to[i * ld] = 0;
        const auto copy = [&](const auto* source) {
            const Index stride = task_.images.stride[2];
            source += (start + from * step) * stride;
            for (Index i = from; i < end; ++i, source += step * stride) to[i * ld] = static_cast<T>(*source);
        };
        if (end > from) switch (task_.images.dtype) {
                case DType::float64:
                    copy(static_cast<const double*>(line));
                    break;
                case DType::float32:
                    copy(static_cast<const float*>(line));
                    break;
                case DType::float16:
                    copy(static_cast<const Float16*>(line));
                    break;
                case DType::bfloat16:
                    copy(static_cast<const BFloat16*>(line));
                    break;
            }
        for (Index i = end; i < count; ++i) to[i * ld] = 0;
    }

    /// The 1 of the bias, and zeros up to the granule.
    void fill_up(Index count, Index stored, Index columns, const Panels<T>& to) const {
        for (Index j = stored; j < tile_.padded(columns); ++j) {
            T* const column = to.data + j / tile_.panel_columns * to.stride + j % tile_.panel_columns;
            for (Index k = 0; k < count; ++k) column[k * to.ld] = j < columns ? T(1) : T(0);
        }
    }

    const Tile<T>& tile_;
    const UpdateConvFactors<T>& task_;
    Index b_, size_;
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
