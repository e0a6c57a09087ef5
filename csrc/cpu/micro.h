// The table of micro-kernels: what is compiled once per instruction set (micro.isa.cpp) and chosen once at import.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "cpu/eigen_lanes.h"
#include "cpu/lane_inverse.h"
#include "cpu/long_rows.h"
#include "cpu/quasi_diagonal.h"
#include "cpu/secular.h"
#include "cpu/small_product.h"
#include "cpu/tiles.h"
#include "cpu/tridiagonal_lanes.h"
#include "cpu/tridiagonal_panel.h"
#include "cpu/two_loop.h"

namespace curvblas::cpu {

struct Lsr1Work;

/// Kernels for one matrix, or eight rows of it, that stay in the first cache levels.
template <class T>
struct Small {
    /// Eight rows of a Cholesky factor A = U^T U and of M = U^-T. On entry U holds -S, S = A - (the product of the rows
    /// above), from its diagonal block on, `right` columns; M holds the product of the rows above less the identity in
    /// its last eight of `left` columns. Returns the order of the leading minor that is not positive, or 0, and the
    /// diagonal of U. Both widths are rounded up to a multiple of the vector length.
    int (*eliminate)(Index right, T* U, Index left, T* M, Index ld, T* diagonal);
    /// Rows [first, last) of the lower triangle of a symmetric A, in float64: what they add to y = A x, and to the sum
    /// of the squares of all elements of scale A.
    void (*add_symmetric_product)(Index first, Index last, const T* A, Index ld, const double* x, double* y);
    double (*symmetric_squares)(Index first, Index last, const T* A, Index ld, double scale);
};

struct Micro {
    const char* isa;
    const Tile<float>* tile_float32;
    const Tile<double>* tile_float64;
    const LaneInverse<float, float>* lane_inverse_float32;
    const LaneInverse<float, double>* lane_inverse_mixed;
    const LaneInverse<double, double>* lane_inverse_float64;
    const EigenLanes<float>* eigen_lanes_float32;
    const EigenLanes<double>* eigen_lanes_float64;
    const TridiagonalPanel<float>* tridiagonal_panel_float32;
    const TridiagonalPanel<double>* tridiagonal_panel_float64;
    const TridiagonalLanes<float>* tridiagonal_lanes_float32;
    const TridiagonalLanes<double>* tridiagonal_lanes_float64;
    const Secular<float>* secular_float32;
    const Secular<double>* secular_float64;
    const SmallProduct<float>* small_product_float32;
    const SmallProduct<double>* small_product_float64;
    const RowKernels<float>* row_kernels_float32;
    const RowKernels<double>* row_kernels_float64;
    const TwoLoop<float>* two_loop_float32;
    const TwoLoop<double>* two_loop_float64;
    const QuasiDiagonal<float>* quasi_diagonal_float32;
    const QuasiDiagonal<double>* quasi_diagonal_float64;
    const Lsr1Work* lsr1_work;
    Small<float> small_float32;
    Small<double> small_float64;
    /// float32 from contiguous 2-byte floats; float16 denormals, infinities and NaN included.
    void (*widen_float16)(Index n, const std::uint16_t* x, float* y);
    void (*widen_bfloat16)(Index n, const std::uint16_t* x, float* y);
    /// True if no element is NaN or Inf: the exponent is not all ones.
    bool (*finite_16)(Index n, const std::uint16_t* x, std::uint16_t exponent_mask);
    bool (*finite_32)(Index n, const std::uint32_t* x);
    bool (*finite_64)(Index n, const std::uint64_t* x);

    template <class T>
    const Tile<T>& tile() const {
        if constexpr (sizeof(T) == 4)
            return *tile_float32;
        else
            return *tile_float64;
    }
    template <class T, class W>
    const LaneInverse<T, W>& lane_inverse() const {
        if constexpr (sizeof(T) == 8)
            return *lane_inverse_float64;
        else if constexpr (sizeof(W) == 8)
            return *lane_inverse_mixed;
        else
            return *lane_inverse_float32;
    }
    template <class T>
    const EigenLanes<T>& eigen_lanes() const {
        if constexpr (sizeof(T) == 4)
            return *eigen_lanes_float32;
        else
            return *eigen_lanes_float64;
    }
    template <class T>
    const TridiagonalPanel<T>& tridiagonal_panel() const {
        if constexpr (sizeof(T) == 4)
            return *tridiagonal_panel_float32;
        else
            return *tridiagonal_panel_float64;
    }
    template <class T>
    const TridiagonalLanes<T>& tridiagonal_lanes() const {
        if constexpr (sizeof(T) == 4)
            return *tridiagonal_lanes_float32;
        else
            return *tridiagonal_lanes_float64;
    }
    template <class T>
    const Secular<T>& secular() const {
        if constexpr (sizeof(T) == 4)
            return *secular_float32;
        else
            return *secular_float64;
    }
    template <class T>
    const SmallProduct<T>& small_product() const {
        if constexpr (sizeof(T) == 4)
            return *small_product_float32;
        else
            return *small_product_float64;
    }
    template <class T>
    const RowKernels<T>& row_kernels() const {
        if constexpr (sizeof(T) == 4)
            return *row_kernels_float32;
        else
            return *row_kernels_float64;
    }
    template <class T>
    const QuasiDiagonal<T>& quasi_diagonal() const {
        if constexpr (sizeof(T) == 4)
            return *quasi_diagonal_float32;
        else
            return *quasi_diagonal_float64;
    }
    template <class T>
    const TwoLoop<T>& two_loop() const {
        if constexpr (sizeof(T) == 4)
            return *two_loop_float32;
        else
            return *two_loop_float64;
    }
    template <class T>
    const Small<T>& small() const {
        if constexpr (sizeof(T) == 4)
            return small_float32;
        else
            return small_float64;
    }
};

/// The tables that this machine can run, the plainest first.
struct IsaLevels {
    const Micro* tables[4];
    int count;
};
IsaLevels usable_isa_levels();

}  // namespace curvblas::cpu
