#include "kernels/update_factors.h"

#include <limits>

#include "cpu/second_moments.h"

namespace curvblas::cpu {
namespace {

/// The rows of one matrix of a task, with the implicit 1 of the bias appended.
template <class T>
class RowPanels {
  public:
    RowPanels(const Tile<T>& tile, const UpdateFactors<T>& task, Index b) : tile_(tile), task_(task), b_(b) {}

    Index rows() const { return task_.R.count(); }
    static Index most_packed() { return std::numeric_limits<Index>::max(); }
    static Index scratch_bytes() { return 0; }
    bool weighted() const { return task_.w.data != nullptr; }
    MovingAverage<T> average() const {
        return {task_.decay[b_], task_.scale ? &task_.scale[b_] : nullptr, task_.R.N, task_.most_decay};
    }

    bool in_panels() const {
        const Rows& R = task_.R;
        return R.dtype == dtype_of<T> && R.d_stride == 1 && R.has_one_stride() && !weighted() && !task_.bias;
    }
    Panels<const T> in_place(Index begin) const {
        return {static_cast<const T*>(task_.R.row(b_, begin)), task_.R.row_stride(), tile_.panel_columns};
    }

    Ahead ahead(Index begin, Index count, Index first, Index columns) const {
        const Rows& R = task_.R;
        if (count <= 0) return {};
        const Index size = item_size(R.dtype);
        const std::byte* const data = static_cast<const std::byte*>(R.row(b_, begin)) + first * R.d_stride * size;
        const Index run = R.has_one_stride() ? count : std::min(count, R.T - begin % R.T);
        if (R.d_stride == 1) return {data, run, columns * size, R.row_stride() * size};
        if (R.row_stride() == 1) return {data, std::min(columns, R.d - first), run * size, R.d_stride * size};
        return {};
    }

    void pack(Index begin, Index count, Index first, Index columns, bool weighted, const Panels<T>& to) const {
        const Rows& R = task_.R;
        const bool together = R.has_one_stride() && (!weighted || task_.w.has_one_stride());
        for (Index done = 0, run; done < count; done += run) {
            const Index r = begin + done;
            run = together ? count : std::min(count - done, R.T - r % R.T);  // rows that one stride walks
            const void* const data =
                static_cast<const std::byte*>(R.row(b_, r)) + first * R.d_stride * item_size(R.dtype);
            const Index stored = std::min(columns, R.d - first);
            const PackedFrom<T> from{.data = data,
                                     .dtype = R.dtype,
                                     .count = run,
                                     .columns = stored,
                                     .row_stride = R.row_stride(),
                                     .column_stride = R.d_stride,
                                     .ones = stored < columns};
            const Panels<T> there{to.data + done * to.ld, to.ld, to.stride};
            weighted ? pack_weighted(from, r, there) : tile_.pack(from, there);
        }
    }

  private:
    void pack_weighted(PackedFrom<T> from, Index first, const Panels<T>& to) const {
        constexpr Index most = 64, ld = 16;  // at least the granule, which packing fills up
        const Index count = from.count, row_bytes = from.row_stride * item_size(from.dtype);
        T packed[most * ld], weights[most];
        for (Index k = 0; k < count; k += most) {
            from.count = std::min(most, count - k);
            const Rows& w = task_.w;
            tile_.pack({.data = w.row(b_, first + k),
                        .dtype = w.dtype,
                        .count = from.count,
                        .columns = 1,
                        .row_stride = w.row_stride(),
                        .column_stride = 0},
                       {packed, ld, 0});
            for (Index e = 0; e < from.count; ++e) weights[e] = packed[e * ld];
            from.weights = weights;
            tile_.pack(from, {to.data + k * to.ld, to.ld, to.stride});
            from.data = static_cast<const std::byte*>(from.data) + from.count * row_bytes;
        }
    }

    const Tile<T>& tile_;
    const UpdateFactors<T>& task_;
    Index b_;
};

}  // namespace

template <class T>
void update_factors(const Queue& queue, std::span<const UpdateFactors<T>> group) {
    SecondMoments<T, UpdateFactors<T>, RowPanels<T>>(queue, group).run();
}

template void update_factors(const Queue&, std::span<const UpdateFactors<float>>);
template void update_factors(const Queue&, std::span<const UpdateFactors<double>>);

}  // namespace curvblas::cpu
