#include "cpu/blocked_inverse.h"

#include <algorithm>
#include <type_traits>

#include "cpu/blas.h"
#include "cpu/cholesky_inverse.h"

namespace curvblas::cpu {
namespace {

template <class W>
Matrix<const W> transposed(const Matrix<const W>& A) {
    return {A.data, A.columns, A.rows, A.column_stride, A.row_stride};
}

/// The upper triangle of a square becomes the mirror image of the lower one.
template <class T>
void mirror(const Micro& micro, Index n, T* X, Index ld) {
    constexpr Index strip = 32;
    for (Index i = 0; i < n; i += strip) {
        const Index rows = std::min(strip, n - i), right = i + rows;
        for (Index r = i; r < right; ++r)
            for (Index c = i; c < r; ++c) X[c * ld + r] = X[r * ld + c];
        transpose<T, T>(micro, rows, n - right, X + right * ld + i, ld, T(1), X + i * ld + right, ld);
    }
}

}  // namespace

/// Up to 256 a matrix and its factor fit the second-level cache. Small blocks leave no thread idle, large ones are
/// packed less often by the BLAS.
template <class T, class W>
Index BlockedInverse<T, W>::block_for(Index n) {
    const Index most = n <= 256 ? 256 : n <= 1024 ? 128 : n <= 2048 ? 192 : 256;
    const Index blocks = std::max<Index>((n + most - 1) / most, 1);
    return std::max<Index>(((n + blocks - 1) / blocks + 7) / 8 * 8, 8);
}

template <class T, class W>
BlockedInverse<T, W>::BlockedInverse(const Micro& micro, Index n)
    : micro_(micro), n_(n), block_(block_for(n)), blocks_((n + block_ - 1) / block_) {}

template <class T, class W>
void BlockedInverse<T, W>::start(const T* A, Index lda, double shift, W* workspace, Index ldw, T* X, Index ldx) {
    A_ = A, lda_ = lda, shift_ = shift, work_ = workspace, ldw_ = ldw, X_ = X, ldx_ = ldx;
    step_ = -1, minor_ = 0, log_det_ = 0;
    if (has_blocks()) diagonal_.resize(static_cast<std::size_t>(blocks_ * block_ * block_));
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
        case Step::factor:
            return factor(row(), row() + part);
        case Step::solve: {
            const Index i = row(), j = i + 1 + part;
            return blas::multiply_triangle(size(i), size(j), W(1), at(i, i), ldw_, at(i, j), ldw_);
        }
        case Step::columns:
            return invert_column(part);
        case Step::products:
            return multiply(part);
        case Step::finish:
            return finish(part);
    }
}

template <class T, class W>
void BlockedInverse<T, W>::invert_whole() {
    Scratch<BlockedInverse> scratch(CholeskyInverse<W>::bytes(micro_, n_));
    CholeskyInverse<W> inverse(micro_, n_, scratch);
    inverse.load_lower(A_, lda_, shift_);
    minor_ = inverse.factor(log_det_);
    if (minor_) return;
    const W* const lower = inverse.multiply();
    for (Index i = 0; i < n_; ++i) std::copy_n(lower + i * inverse.stride(), i + 1, X_ + i * ldx_);
    mirror(micro_, n_, X_, ldx_);
}

template <class T, class W>
void BlockedInverse<T, W>::load(Index i) {
    const Index first = begin(i), rows = size(i);
    transpose<W, T>(micro_, rows, n_ - first, A_ + first * lda_ + first, lda_, W(1), at(i, i), ldw_);
    for (Index k = first; k < first + rows; ++k)
        work_[k * ldw_ + k] = static_cast<W>(static_cast<double>(A_[k * lda_ + k]) + shift_);
}

template <class T, class W>
void BlockedInverse<T, W>::factor(Index i, Index j) {
    if (i > 0) blas::subtract_product<W>(transposed(strip(0, i, i)), strip(0, i, j), target(i, j));
    if (i == j) factor_diagonal(i);
}

template <class T, class W>
void BlockedInverse<T, W>::factor_diagonal(Index i) {
    const Index n = size(i);
    Scratch<BlockedInverse> scratch(CholeskyInverse<W>::bytes(micro_, n));
    CholeskyInverse<W> inverse(micro_, n, scratch);
    inverse.load_upper(at(i, i), ldw_);
    if (const Index minor = inverse.factor(log_det_)) minor_ = begin(i) + minor;
    for (Index k = 0; k < n; ++k) std::copy_n(inverse.inverse_factor() + k * inverse.stride(), n, at(i, i) + k * ldw_);
}

template <class T, class W>
void BlockedInverse<T, W>::invert_column(Index j) {
    for (Index i = j + 1; i < blocks_; ++i) {
        // M_ij = -M_ii sum over k in [j, i) of U_ki^T M_kj
        blas::multiply<W>(transposed(strip(j, i, i)), strip(j, i, j), target(i, j));
        blas::multiply_triangle(size(i), size(j), W(-1), at(i, i), ldw_, at(i, j), ldw_);
    }
}

template <class T, class W>
void BlockedInverse<T, W>::multiply(Index part) {
    Index i = 0;
    for (; part > i; ++i) part -= i + 1;
    const Index j = part;
    const Matrix<W> to =
        i == j ? Matrix<W>{diagonal_.data() + i * block_ * block_, size(i), size(i), block_, 1} : target(j, i);
    blas::multiply<W>(transposed(strip(i, blocks_, j)), strip(i, blocks_, i), to);
}

template <class T, class W>
void BlockedInverse<T, W>::finish(Index i) {
    const Index first = begin(i), rows = size(i);
    for (Index j = 0; j < i; ++j)
        transpose<T, W>(micro_, rows, size(j), at(j, i), ldw_, T(1), X_ + first * ldx_ + begin(j), ldx_);
    for (Index r = 0; r < rows; ++r) {
        std::copy_n(diagonal_.data() + (i * block_ + r) * block_, r + 1, X_ + (first + r) * ldx_ + first);
        if constexpr (std::is_same_v<T, W>)
            if (X_ == work_) continue;
        std::copy_n(at(i, i) + r * ldw_ + rows, n_ - first - rows, X_ + (first + r) * ldx_ + first + rows);
    }
    mirror(micro_, rows, X_ + first * ldx_ + first, ldx_);
}

template class BlockedInverse<float, float>;
template class BlockedInverse<float, double>;
template class BlockedInverse<double, double>;

}  // namespace curvblas::cpu
