// Rows of any dtype and layout, as what micro-kernels and the BLAS multiply: contiguous, of the dtype that they compute
// in, with the implicit 1 of a bias appended.
#pragma once

#include <algorithm>

#include "cpu/blas.h"
#include "cpu/micro.h"

namespace curvblas::cpu {

template <class T>
class BiasedRows {
  public:
    BiasedRows(const Micro& micro, const Rows& R, Index b, bool bias) : micro_(micro), R_(R), b_(b), bias_(bias) {}

    Index columns() const { return R_.d + (bias_ ? 1 : 0); }

    /// Columns [first, first + count) of row r: in place where they lie contiguous as T, else in `buffer`.
    const T* segment(Index r, Index first, Index count, T* buffer) const {
        const void* const row = R_.row(b_, r);
        const Index stored = std::min(count, R_.d - first);
        if (R_.dtype == dtype_of<T> && R_.d_stride == 1 && stored == count) return static_cast<const T*>(row) + first;
        convert(row, first, stored, buffer);
        if (stored < count) buffer[stored] = 1;
        return buffer;
    }

    /// The same in `to`, in any case.
    void copy(Index r, Index first, Index count, T* to) const {
        const T* const x = segment(r, first, count, to);
        if (x != to) std::copy_n(x, count, to);
    }

    /// Columns [first, first + count) of rows [begin, begin + rows): in place where the BLAS can read them, else in
    /// `buffer`, which holds rows x count.
    Matrix<const T> block(Index begin, Index rows, Index first, Index count, T* buffer) const {
        const bool one_stride = R_.has_one_stride() || begin % R_.T + rows <= R_.T;
        if (R_.dtype == dtype_of<T> && one_stride && first + count <= R_.d) {
            const T* const data = static_cast<const T*>(R_.row(b_, begin)) + first * R_.d_stride;
            const Matrix<const T> there{data, rows, count, R_.row_stride(), R_.d_stride};
            if (blas::is_blas(there)) return there;
        }
        for (Index r = 0; r < rows; ++r) copy(begin + r, first, count, buffer + r * count);
        return {buffer, rows, count, count, 1};
    }

  private:
    void convert(const void* row, Index first, Index count, T* to) const {
        if (R_.dtype == DType::float32) return gather(static_cast<const float*>(row), first, count, to);
        if (R_.dtype == DType::float64) return gather(static_cast<const double*>(row), first, count, to);
        const auto* const x = static_cast<const std::uint16_t*>(row);
        constexpr Index piece = 256;
        std::uint16_t gathered[piece];
        for (Index j = 0; j < count; j += piece) {
            const Index n = std::min(piece, count - j);
            if (R_.d_stride != 1) gather(x, first + j, n, gathered);
            widen(n, R_.d_stride == 1 ? x + first + j : gathered, to + j);
        }
    }

    template <class From, class To>
    void gather(const From* x, Index first, Index count, To* to) const {
        for (Index j = 0; j < count; ++j) to[j] = static_cast<To>(x[(first + j) * R_.d_stride]);
    }

    /// Up to 256 contiguous 2-byte floats.
    void widen(Index count, const std::uint16_t* x, T* y) const {
        const auto to_float32 = R_.dtype == DType::float16 ? micro_.widen_float16 : micro_.widen_bfloat16;
        if constexpr (sizeof(T) == 4) {
            to_float32(count, x, y);
        } else {
            float wide[256];
            to_float32(count, x, wide);
            std::copy_n(wide, count, y);
        }
    }

    const Micro& micro_;
    const Rows& R_;
    Index b_;
    bool bias_;
};

}  // namespace curvblas::cpu
