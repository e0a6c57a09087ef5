#include "cpu/blocked_inverse.h"

#include <algorithm>

#include "cpu/cholesky_inverse.h"
#include "cpu/transpose.h"

namespace curvblas::cpu {
namespace {

/// Columns [first, last) of one row.
template <class W, class T>
void copy_row(const Panels<W>& from, Index row, Index first, Index last, T* to) {
    for (Index j = first, end; j < last; j = end) {
        end = std::min(last, (j / from.ld + 1) * from.ld);
        to = std::copy_n(from.data + j / from.ld * from.stride + row * from.ld + j % from.ld, end - j, to);
    }
}

}  // namespace

/// Up to 256 a matrix and its factor fit the second-level cache. Beyond, small blocks leave no thread idle, and large
/// ones are read less often.
template <class T, class W>
Index BlockedInverse<T, W>::block_for(Index n, Index panel) {
    const Index most = n <= 256 ? 256 : n <= 512 ? 48 : n <= 1024 ? 96 : n <= 2048 ? 144 : 192;
    if (n <= most) return std::max<Index>(n, 1);
    return std::max<Index>(most / panel, 1) * panel;
}

template <class T, class W>
BlockedInverse<T, W>::BlockedInverse(const Micro& micro, Index n)
    : micro_(micro),
      tile_(micro.tile<W>()),
      n_(n),
      panel_(tile_.panel_columns),
      order_(tile_.padded(n)),
      // A cache line more than the panel, so that the panels of one row do not fall into the same few cache sets.
      stride_(order_ * panel_ + 64 / static_cast<Index>(sizeof(W))),
      block_(block_for(n, panel_)),
      blocks_((n + block_ - 1) / block_) {}

template <class T, class W>
void BlockedInverse<T, W>::start(const T* A, Index lda, double shift, std::byte* workspace, T* X, Index ldx) {
    A_ = A, lda_ = lda, shift_ = shift, X_ = X, ldx_ = ldx;
    step_ = -1, minor_ = 0, log_det_ = 0;
    if (!has_blocks()) return;
    work_ = reinterpret_cast<W*>(workspace);
    inverses_ = work_ + panel_words();
    diagonal_ = inverses_ + blocks_ * block_ * block_;
}

template <class T, class W>
auto BlockedInverse<T, W>::step() const -> Step {
    if (!has_blocks()) return Step::whole;
    if (step_ == 0) return Step::load;
    if (step_ < 2 * blocks_) return step_ % 2 ? Step::factor : Step::solve;
    return step_ == 2 * blocks_ ? Step::columns : step_ == 2 * blocks_ + 1 ? Step::products : Step::finish;
}

template <class T, class W>
bool BlockedInverse<T, W>::next() {
    ++step_;
    return minor_ == 0 && step_ < (has_blocks() ? 2 * blocks_ + 3 : 1);
}

template <class T, class W>
Index BlockedInverse<T, W>::parts() const {
    switch (step()) {
        case Step::whole:
            return 1;
        case Step::factor:
            return blocks_ - row();
        case Step::solve:
            return blocks_ - 1 - row();
        case Step::products:
            return blocks_ * (blocks_ + 1) / 2;
        default:
            return blocks_;
    }
}

template <class T, class W>
double BlockedInverse<T, W>::cost(Index part) const {
    const double n = static_cast<double>(n_), b = static_cast<double>(block_);
    switch (step()) {
        case Step::whole:
            return n * n * n;
        case Step::factor:
            return 2 * b * b * b * static_cast<double>(row()) + (part == 0 ? 4 : 0) * b * b * b;
        case Step::solve:
            return b * b * b;
        case Step::columns:
            return b * (n - b * static_cast<double>(part)) * (n - b * static_cast<double>(part));
        case Step::products:
            return b * b * n;
        default:
            return 4 * b * n;
    }
}

template <class T, class W>
void BlockedInverse<T, W>::work(Index part) {
    switch (step()) {
        case Step::whole:
            return invert_whole();
        case Step::load:
            return load(part);
        case Step::factor: {
            const Index i = begin(row()), j = i + begin(part);
            multiply(0, i, i, size(row()), j, size(row() + part), false, true, at(i, j));
            return part == 0 ? factor_diagonal(row()) : void();
        }
        case Step::solve:
            return solve(row(), row() + 1 + part);
        case Step::columns:
            return invert_column(part);
        case Step::products:
            return multiply_columns(part);
        case Step::finish:
            return finish(part);
    }
}

template <class T, class W>
void BlockedInverse<T, W>::invert_whole() {
    Scratch<BlockedInverse> scratch(CholeskyInverse<W>::bytes(micro_, n_));
    CholeskyInverse<W> inverse(micro_, n_, scratch);
    inverse.load_lower(A_, lda_, shift_);
    minor_ = std::min(inverse.factor(log_det_), n_);
    if (minor_) return;
    const W* const lower = inverse.multiply();
    for (Index i = 0; i < n_; ++i) std::copy_n(lower + i * inverse.stride(), i + 1, X_ + i * ldx_);
    mirror(micro_, n_, X_, ldx_);
}

/// Rows of -(A + shift I), from the diagonal block on, and the identity behind the last one.
template <class T, class W>
void BlockedInverse<T, W>::load(Index i) {
    const Index first = begin(i), rows = std::min(size(i), n_ - first);
    for (Index j = first; j < order_; j += panel_) {
        W* const to = at(first, j).data;
        const Index columns = std::min(panel_, n_ - j);
        transpose<W, T>(micro_, rows, columns, A_ + j * lda_ + first, lda_, W(-1), to, panel_);
        for (Index k = 0; k < rows && columns < panel_; ++k)
            std::fill(to + k * panel_ + columns, to + (k + 1) * panel_, W(0));
        std::fill(to + rows * panel_, to + size(i) * panel_, W(0));
    }
    for (Index k = first; k < first + size(i); ++k)
        at(k, k).data[0] = k < n_ ? static_cast<W>(-(static_cast<double>(A_[k * lda_ + k]) + shift_)) : W(-1);
}

template <class T, class W>
void BlockedInverse<T, W>::multiply(Index first, Index last, Index left, Index height, Index right, Index width,
                                    bool lower, bool add, const Panels<W>& C) const {
    constexpr Index panel_bytes = 24 << 10;  // of rows that stay in the first-level cache
    const Index depth = panel_bytes / (panel_ * static_cast<Index>(sizeof(W)));
    for (Index k = first, end; k < last; k = end, add = true) {
        end = std::min(k + depth, last);
        for (Index j = 0; j < width; j += panel_) {
            const Index above = lower ? j : 0;
            const Panels<const W> a{at(k, left + above).data, panel_, stride_},
                b{at(k, right + j).data, panel_, stride_};
            tile_.multiply(Steps::line(end - k), a, b, height - above, std::min(panel_, width - j), lower, add,
                           C.data + j / panel_ * C.stride + above * panel_, panel_, {});
        }
    }
}

template <class T, class W>
void BlockedInverse<T, W>::factor_diagonal(Index i) {
    const Index n = size(i);
    const Panels<W> block = at(begin(i), begin(i)), inverse_of = square(inverses_, i);
    Scratch<BlockedInverse> scratch(CholeskyInverse<W>::bytes(micro_, n));
    CholeskyInverse<W> inverse(micro_, n, scratch);
    inverse.load_negative_upper([&](Index k, W* row) { copy_row(block, k, k, n, row); });
    if (const Index minor = inverse.factor(log_det_)) minor_ = std::min(begin(i) + minor, n_);
    const W* const M = inverse.inverse_factor();
    for (Index j = 0; j < n; j += panel_) {
        const Index columns = std::min(panel_, n - j);
        W* const to = block.data + j / panel_ * block.stride;
        for (Index k = 0; k < n; ++k) std::copy_n(M + k * inverse.stride() + j, columns, to + k * panel_);
        transpose<W, W>(micro_, n, columns, M + j * inverse.stride(), inverse.stride(), W(-1),
                        inverse_of.data + j / panel_ * inverse_of.stride, panel_);
    }
}

/// Block (i, j) becomes -U_ii^-T times itself.
template <class T, class W>
void BlockedInverse<T, W>::solve(Index i, Index j) const {
    const Index rows = size(i);
    const Panels<W> factor = square(inverses_, i);
    struct Right;
    Scratch<Right> scratch(cpu::bytes<W>(rows * panel_));
    W* const right = scratch.template take<W>(rows * panel_);
    for (Index c = 0; c < size(j); c += panel_) {
        W* const to = at(begin(i), begin(j) + c).data;
        std::copy_n(to, rows * panel_, right);
        for (Index r = 0; r < rows; r += panel_) {
            const Index height = std::min(panel_, rows - r);
            tile_.multiply(Steps::line(r + height), {factor.data + r / panel_ * factor.stride, panel_, factor.stride},
                           {right, panel_, 0}, height, std::min(panel_, size(j) - c), false, false, to + r * panel_,
                           panel_, {});
        }
    }
}

template <class T, class W>
void BlockedInverse<T, W>::invert_column(Index j) const {
    for (Index i = j + 1; i < blocks_; ++i) {
        // M_ij = -M_ii sum over k in [j, i) of U_ki^T M_kj
        multiply(begin(j), begin(i), begin(i), size(i), begin(j), size(j), false, false, at(begin(i), begin(j)));
        solve(i, j);
    }
}

template <class T, class W>
void BlockedInverse<T, W>::multiply_columns(Index part) const {
    Index i = 0;
    for (; part > i; ++i) part -= i + 1;
    const Index j = part;
    multiply(begin(i), order_, begin(j), size(j), begin(i), size(i), i == j, false,
             i == j ? square(diagonal_, i) : at(begin(j), begin(i)));
}

template <class T, class W>
void BlockedInverse<T, W>::finish(Index i) const {
    const Index first = begin(i), rows = std::min(size(i), n_ - first);
    T* const X = X_ + first * ldx_;
    for (Index r = 0; r < rows; r += panel_)
        transpose<T, W>(micro_, std::min(panel_, rows - r), first, at(0, first + r).data, panel_, T(1), X + r * ldx_,
                        ldx_);
    for (Index r = 0; r < rows; ++r) {
        copy_row(square(diagonal_, i), r, 0, r + 1, X + r * ldx_ + first);
        copy_row(at(first, 0), r, first + rows, n_, X + r * ldx_ + first + rows);
    }
    mirror(micro_, rows, X + first, ldx_);
}

template class BlockedInverse<float, float>;
template class BlockedInverse<float, double>;
template class BlockedInverse<double, double>;

}  // namespace curvblas::cpu
