#include "cpu/cholesky_inverse.h"

#include <algorithm>
#include <cmath>

#include "cpu/transpose.h"

namespace curvblas::cpu {

// U holds -A throughout, because tiles only add.

template <class W>
template <class T>
void CholeskyInverse<W>::load_lower(const T* A, Index ld, double shift) {
    constexpr Index strip = 32;
    for (Index i = 0; i < n_; i += strip)
        transpose<W, T>(micro_, std::min(strip, n_ - i), n_ - i, A + i * ld + i, ld, W(-1), U_ + i * ld_ + i, ld_);
    for (Index i = 0; i < n_; ++i) U_[i * ld_ + i] = static_cast<W>(-(static_cast<double>(A[i * ld + i]) + shift));
    pad();
}

/// The identity behind the last row, what vectors read beyond the columns, and M.
template <class W>
void CholeskyInverse<W>::pad() {
    for (Index i = 0; i < order_; ++i) {
        std::fill(U_ + i * ld_ + (i < n_ ? n_ : i), U_ + (i + 1) * ld_, W(0));
        if (i >= n_) U_[i * ld_ + i] = -1;
    }
    std::fill_n(M_, order_ * ld_, W(0));
    for (Index i = 0; i < order_; ++i) M_[i * ld_ + i] = -1;
}

template <class W>
void CholeskyInverse<W>::multiply(Index first, Index last, const W* x, const W* y, Index height, Index width,
                                  bool lower, bool add, W* to) const {
    const Tile<W>& tile = micro_.tile<W>();
    const Index panel = tile.panel_columns;
    tile.multiply(Steps::line(last - first), {x + first * ld_, ld_, panel}, {y + first * ld_, ld_, panel}, height,
                  width, lower, add, to, ld_, {});
}

template <class W>
Index CholeskyInverse<W>::factor_rows(bool with_inverse, double& log_det) {
    double product = 1;  // of U's diagonal: a logarithm each would take a tenth of the time at n = 128
    const auto add_to_log_det = [&] { log_det += 2 * std::log(product), product = 1; };
    for (Index i = 0; i < order_; i += rows) {
        W *const U_row = U_ + i * ld_, *const M_row = M_ + i * ld_, diagonal[rows];
        if (i > 0) multiply(0, i, U_ + i, U_ + i, rows, order_ - i, false, true, U_row + i);
        const Index panel = micro_.tile<W>().panel_columns;
        for (Index j = 0; j < i && with_inverse; j += panel)
            multiply(j, i, U_ + i, M_ + j, rows, std::min(panel, i - j), false, true, M_row + j);
        const int minor =
            micro_.small<W>().eliminate(order_ - i, U_row + i, with_inverse ? i + rows : 0, M_row, ld_, diagonal);
        if (minor) return i + minor;
        for (Index k = 0; k < std::min(rows, n_ - i); ++k) {
            if (std::isinf(diagonal[k])) return i + k + 1;  // an overflow made of finite numbers
            product *= static_cast<double>(diagonal[k]);
            if (!(product > 1e-100 && product < 1e100)) add_to_log_det();
        }
    }
    add_to_log_det();
    return 0;
}

template <class W>
const W* CholeskyInverse<W>::multiply() {
    const Index block = micro_.tile<W>().panel_columns;
    for (Index i = 0; i < order_; i += block) {
        const Index height = std::min(block, order_ - i);
        if (i > 0) multiply(i, order_, M_ + i, M_, height, i, false, false, U_ + i * ld_);
        multiply(i, order_, M_ + i, M_ + i, height, height, true, false, U_ + i * ld_ + i);
    }
    return U_;
}

template class CholeskyInverse<float>;
template class CholeskyInverse<double>;
template void CholeskyInverse<float>::load_lower(const float*, Index, double);
template void CholeskyInverse<double>::load_lower(const float*, Index, double);
template void CholeskyInverse<double>::load_lower(const double*, Index, double);

}  // namespace curvblas::cpu
