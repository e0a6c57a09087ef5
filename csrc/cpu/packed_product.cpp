#include "cpu/packed_product.h"

#include <algorithm>

#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

template <class T>
class PackedProduct {
  public:
    PackedProduct(const Tile<T>& tile, const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C)
        : tile_(tile), A_(A), B_(B), C_(C) {}

    void run() {
        struct Memory;
        const Index stride = depth() * panel_ + 64 / static_cast<Index>(sizeof(T));  // panels in different cache sets
        const Index rows = std::min(most_rows, tile_.padded(C_.rows)), left = tile_.panels(rows) * stride;
        Scratch<Memory> scratch(bytes<T>(left) + bytes<T>(stride) + bytes<T>(rows * panel_));
        left_ = {scratch.template take<T>(left), panel_, stride};
        right_ = {scratch.template take<T>(stride), panel_, stride};
        sums_ = scratch.template take<T>(rows * panel_);
        for (Index i = 0; i < C_.rows; i += most_rows)
            for (Index k = 0; k < A_.columns; k += depth()) multiply_strip(i, std::min(most_rows, C_.rows - i), k);
    }

  private:
    static constexpr Index most_rows = 384;         // of A that are packed at a time, for the second-level cache
    static constexpr Index panel_bytes = 24 << 10;  // of B, which stay in the first-level cache

    Index depth() const { return panel_bytes / (panel_ * static_cast<Index>(sizeof(T))); }

    /// Rows [i, i + height) of C receive the products over `depth` columns of A, from k on.
    void multiply_strip(Index i, Index height, Index k) {
        const Index steps = std::min(depth(), A_.columns - k);
        tile_.pack({A_.data + i * A_.row_stride + k * A_.column_stride, dtype_of<T>, steps, height, A_.column_stride,
                    A_.row_stride},
                   left_);
        for (Index j = 0; j < C_.columns; j += panel_) {
            const Index width = std::min(panel_, C_.columns - j);
            tile_.pack({B_.data + k * B_.row_stride + j * B_.column_stride, dtype_of<T>, steps, width, B_.row_stride,
                        B_.column_stride},
                       right_);
            // Tiles write whole granules: at the edges into memory of their own.
            const Index whole = width % tile_.granule == 0 ? height / tile_.granule * tile_.granule : 0;
            T* const to = C_.row(i) + j;
            if (whole > 0) multiply_tiles(steps, 0, whole, width, k > 0, to, C_.row_stride);
            if (whole == height) continue;
            multiply_tiles(steps, whole, height - whole, width, false, sums_, panel_);
            for (Index r = whole; r < height; ++r)
                for (Index c = 0; c < width; ++c) {
                    T& element = to[r * C_.row_stride + c];
                    const T sum = sums_[(r - whole) * panel_ + c];
                    element = k > 0 ? element + sum : sum;
                }
        }
    }

    void multiply_tiles(Index steps, Index first, Index height, Index width, bool add, T* to, Index ld) const {
        const Panels<T> left = tile_.from_column(left_, first);
        tile_.multiply(Steps::line(steps), {left.data, panel_, left.stride}, {right_.data, panel_, right_.stride},
                       height, width, false, add, to, ld, {});
    }

    const Tile<T>& tile_;
    const Matrix<const T>&A_, &B_;
    const Matrix<T>& C_;
    const Index panel_ = tile_.panel_columns;
    Panels<T> left_{}, right_{};
    T* sums_ = nullptr;
};

}  // namespace

template <class T>
void multiply_packed(const Tile<T>& tile, const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    PackedProduct<T>(tile, A, B, C).run();
}

template void multiply_packed(const Tile<float>&, const Matrix<const float>&, const Matrix<const float>&,
                              const Matrix<float>&);
template void multiply_packed(const Tile<double>&, const Matrix<const double>&, const Matrix<const double>&,
                              const Matrix<double>&);

}  // namespace curvblas::cpu
