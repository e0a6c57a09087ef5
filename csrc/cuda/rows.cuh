// Rows of any dtype and layout as panels of a tile (tile.cuh), with the implicit 1 of a bias appended.
#pragma once

#include "cuda/element.cuh"
#include "cuda/tile.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template <class T>
class BiasedRows {
  public:
    __device__ BiasedRows(const Rows& R, Index b, bool bias) : R_(R), b_(b), bias_(bias) {}

    __device__ Index columns() const { return R_.d + (bias_ ? 1 : 0); }

    /// A sum over rows: steps are the rows first, first + 1, ..., those for which valid(r) is false being zeros;
    /// elements are the columns from i0 on. Step r is row r + offset.
    template <class Valid>
    __device__ void stage_as_steps(T* to, Index first, Index offset, Index i0, const Valid& valid) const {
        constexpr int width = Vector<T>::size, vectors = Tile<T>::edge / width;
        if (has_vectors() && i0 + Tile<T>::edge <= R_.d) {
            for (int v = static_cast<int>(threadIdx.x); v < Tile<T>::depth * vectors; v += Tile<T>::threads) {
                const int k = v / vectors, i = v % vectors * width;
                const bool is_there = valid(first + k);
                const T* const from = is_there ? row(first + k + offset) + i0 + i : static_cast<const T*>(R_.data);
                copy_async<16>(to + k * Tile<T>::pitch + i, from, is_there);
            }
            return;
        }
        for (int e = static_cast<int>(threadIdx.x); e < Tile<T>::depth * Tile<T>::edge; e += Tile<T>::threads) {
            const int k = e / Tile<T>::edge, i = e % Tile<T>::edge;
            to[k * Tile<T>::pitch + i] = valid(first + k) ? value(first + k + offset, i0 + i) : T(0);
        }
    }

    /// The same without an offset, and squared element by element: not by asynchronous copies then.
    template <class Valid>
    __device__ void stage_squares_as_steps(T* to, Index first, Index i0, const Valid& valid) const {
        for (int e = static_cast<int>(threadIdx.x); e < Tile<T>::depth * Tile<T>::edge; e += Tile<T>::threads) {
            const int k = e / Tile<T>::edge, i = e % Tile<T>::edge;
            const T x = valid(first + k) ? value(first + k, i0 + i) : T(0);
            to[k * Tile<T>::pitch + i] = x * x;
        }
    }

    /// A product from the right: steps are the columns from k0 on, elements the rows [begin, end).
    __device__ void stage_as_elements(T* to, Index k0, Index begin, Index end) const {
        if (R_.dtype == dtype_of<T> && !bias_ && R_.has_one_stride()) {
            const Panel<T> panel{row(begin), R_.d, end - begin, R_.d_stride, R_.row_stride()};
            return panel.stage(to, k0, 0);
        }
        for (int e = static_cast<int>(threadIdx.x); e < Tile<T>::depth * Tile<T>::edge; e += Tile<T>::threads) {
            const int k = e % Tile<T>::depth, i = e / Tile<T>::depth;  // neighbouring threads, neighbouring columns
            to[k * Tile<T>::pitch + i] = begin + i < end ? value(begin + i, k0 + k) : T(0);
        }
    }

  private:
    /// Where every row and every fourth column (second for float64) is aligned to 16 bytes.
    __device__ bool has_vectors() const {
        constexpr Index width = Vector<T>::size;
        return R_.dtype == dtype_of<T> && R_.d_stride == 1 && R_.n_stride % width == 0 && R_.t_stride % width == 0 &&
               R_.batch_stride % width == 0 && reinterpret_cast<std::uintptr_t>(R_.data) % 16 == 0;
    }
    __device__ const T* row(Index r) const { return static_cast<const T*>(R_.row(b_, r)); }
    __device__ T value(Index r, Index column) const {
        if (column < R_.d) return element<T>(R_.dtype, R_.row(b_, r), column * R_.d_stride);
        return column < columns() ? T(1) : T(0);
    }

    const Rows& R_;
    Index b_;
    bool bias_;
};

}  // namespace curvblas::CURVBLAS_BACKEND
