#include "cpu/back_transform.h"

namespace curvblas::cpu {

template <class T>
auto BackTransform<T>::reflections(Index block) const -> Reflections {
    T* const rows = memory_ + block * block_words();
    T* const columns = rows + rows_words();
    return {{rows, panel_, (n_ + tile_.granule) * panel_},
            {columns, panel_, width_ * panel_},
            {columns + columns_words(), panel_, width_ * panel_}};
}

template <class T>
void BackTransform<T>::load(Index block, const T* reflectors, Index ld, const T* tau) const {
    const Index first = block * width_, count = std::min(width_, n_ - 1 - first), row = first_row(block);
    const Index rows = n_ - row;
    const auto [V, Vt, minus_T] = reflections(block);
    const auto at = [&](const Panels<T>& of, Index i, Index j) -> T& {
        return of.data[j / panel_ * of.stride + i * panel_ + j % panel_];
    };
    std::fill_n(V.data, rows_words(), T(0));
    std::fill_n(Vt.data, columns_words(), T(0));
    for (Index i = 0; i < count; ++i) {
        const T* const v = reflectors + (first + i) * ld + row;
        at(V, i, i) = at(Vt, i, i) = 1;
        for (Index k = i + 1; k < rows; ++k) at(V, k, i) = at(Vt, i, k) = v[k];
    }
    // T = [T', -tau T' V'^T v; 0, tau], column by column; its products V^T V by tiles.
    struct Memory;
    Scratch<Memory> scratch(bytes<T>(width_ * width_));
    T* const gram = scratch.template take<T>(width_ * width_);
    tile_.multiply(Steps::line(rows), {V.data, panel_, V.stride}, {V.data, panel_, V.stride}, width_, width_, false,
                   false, gram, width_, {});
    std::fill_n(minus_T.data, width_ * width_, T(0));
    for (Index i = 0; i < count; ++i) {
        const T t = tau[first + i];
        for (Index r = 0; r < i; ++r) {
            T sum = 0;
            for (Index s = r; s < i; ++s) sum += at(minus_T, s, r) * gram[s * width_ + i];
            at(minus_T, i, r) = -t * sum;  // transposed, as the tiles want it
        }
        at(minus_T, i, i) = -t;
    }
}

template <class T>
void BackTransform<T>::apply(const T* eigenvectors, Index count, T* panel) const {
    std::fill_n(panel + n_ * panel_, tile_.granule * panel_, T(0));
    const Panels<T> Z{panel, panel_, 0};
    tile_.pack({eigenvectors, dtype_of<T>, n_, count, 1, n_}, Z);
    struct Memory;
    Scratch<Memory> scratch(2 * bytes<T>(width_ * panel_));
    T* const products = scratch.template take<T>(width_ * panel_);
    T* const factors = scratch.template take<T>(width_ * panel_);
    for (Index b = blocks() - 1; b >= 0; --b) {
        const Index row = first_row(b), rows = n_ - row;
        const auto [V, Vt, minus_T] = reflections(b);
        const auto multiply = [&](Index steps, const Panels<T>& left, const T* right, Index height, bool add, T* to) {
            tile_.multiply(Steps::line(steps), {left.data, panel_, left.stride}, {right, panel_, 0}, height, count,
                           false, add, to, panel_, {});
        };
        multiply(rows, V, panel + row * panel_, width_, false, products);
        multiply(width_, minus_T, products, width_, false, factors);
        multiply(width_, Vt, factors, rows, true, panel + row * panel_);
    }
}

template class BackTransform<float>;
template class BackTransform<double>;

}  // namespace curvblas::cpu
