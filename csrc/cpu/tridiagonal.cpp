#include "cpu/tridiagonal.h"

#include <algorithm>
#include <array>

#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

/// Reflections whose products are subtracted together: more of them save reads of A, and cost more before that.
constexpr Index most_width = 32;
constexpr Index width_of(Index n) { return n <= 512 ? 16 : most_width; }

template <class T>
constexpr std::array<T, most_width> minus_ones() {
    std::array<T, most_width> all;
    all.fill(-1);
    return all;
}

}  // namespace

/// Rows of A: tiles write whole granules.
template <class T>
Index Tridiagonal<T>::height(const Micro& micro, Index n) {
    return n + micro.tile<T>().granule;
}

template <class T>
Index Tridiagonal<T>::panel_words(const Micro& micro, Index n) {
    const Tile<T>& tile = micro.tile<T>();
    return tile.panels(n) * tile.panel_columns * 2 * width_of(n);
}

template <class T>
Index Tridiagonal<T>::bytes(const Micro& micro, Index n) {
    const Index ld = spread_row(n);
    return cpu::bytes<T>(height(micro, n) * ld) + cpu::bytes<T>(n) + cpu::bytes<T>(2 * width_of(n) * ld) +
           2 * cpu::bytes<T>(panel_words(micro, n));
}

template <class T>
Tridiagonal<T>::Tridiagonal(const Micro& micro, Index n, std::byte* memory) : micro_(micro), n_(n), ld_(spread_row(n)) {
    Carver carver(memory, bytes(micro, n));
    A_ = carver.take<T>(height(micro, n) * ld_), tau_ = carver.take<T>(n), V_ = carver.take<T>(2 * width_of(n) * ld_);
    left_ = carver.take<T>(panel_words(micro, n)), right_ = carver.take<T>(panel_words(micro, n));
}

template <class T>
void Tridiagonal<T>::reduce(double* diagonal, double* off_diagonal) const {
    for (Index i = 0; i < n_; ++i) std::fill(A_ + i * ld_ + n_, A_ + (i + 1) * ld_, T(0));
    const Index width = width_of(n_);
    for (Index first = 0; first < n_; first += width) {
        micro_.tridiagonal_panel<T>().reduce(n_, first, std::min(width, n_ - first), A_, ld_, V_, V_ + width * ld_,
                                             tau_, diagonal, off_diagonal);
        if (first + width < n_) update(first + width);
    }
}

/// A - V^T W - W^T V, from row and column `first` on, right of the diagonal and in the squares on it.
template <class T>
void Tridiagonal<T>::update(Index first) const {
    static constexpr auto minus = minus_ones<T>();
    const Tile<T>& tile = micro_.tile<T>();
    const Index width = width_of(n_), order = n_ - first, panel = tile.panel_columns, steps = 2 * width;
    const Panels<T> left{left_, panel, steps * panel}, right{right_, panel, steps * panel};
    const auto pack = [&](const T* rows, Index step, const Panels<T>& to, const T* weights) {
        PackedFrom<T> from{rows + first, dtype_of<T>, width, order, ld_, 1};
        from.weights = weights;
        tile.pack(from, {to.data + step * panel, to.ld, to.stride});
    };
    pack(V_, 0, left, nullptr), pack(V_ + width * ld_, width, left, nullptr);
    pack(V_ + width * ld_, 0, right, minus.data()), pack(V_, width, right, minus.data());
    Index strip = panel;
    while (strip % diagonal_block != 0) strip += panel;
    for (Index i = 0; i < order; i += strip) {
        const Panels<T> rows = tile.from_column(left, i), columns = tile.from_column(right, i);
        tile.multiply(Steps::line(steps), {rows.data, rows.ld, rows.stride}, {columns.data, columns.ld, columns.stride},
                      std::min(strip, order - i), order - i, false, true, A_ + (first + i) * ld_ + first + i, ld_, {});
    }
}

template class Tridiagonal<float>;
template class Tridiagonal<double>;

}  // namespace curvblas::cpu
