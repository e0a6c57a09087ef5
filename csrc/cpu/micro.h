// The table of micro-kernels: what is compiled once per instruction set (micro.isa.cpp) and chosen once at import.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "cpu/eigen_lanes.h"
#include "cpu/small_product.h"
#include "cpu/tiles.h"

namespace curvblas::cpu {

/// Kernels for one matrix, or one diagonal block of it, that stays in the first cache levels. Leading dimension `ld`.
template <class T>
struct Small {
    /// A = U^T U, upper triangle, in place. Returns the order of the leading minor that is not positive, or 0.
    Index (*cholesky)(Index n, T* A, Index ld);
    /// U <- U^-1, upper triangle, in place; `work` holds n.
    void (*invert_triangle)(Index n, T* U, Index ld, T* work);
    /// W <- W W^T, upper triangles, in place; `work` holds n^2.
    void (*multiply_by_transpose)(Index n, T* W, Index ld, T* work);
    /// y = A x in float64, A full, contiguous and symmetric.
    void (*product)(Index n, const T* A, const double* x, double* y);
};

struct Micro {
    const char* isa;
    const Tile<float>* tile_float32;
    const Tile<double>* tile_float64;
    const EigenLanes<float>* eigen_lanes_float32;
    const EigenLanes<double>* eigen_lanes_float64;
    const SmallProduct<float>* small_product_float32;
    const SmallProduct<double>* small_product_float64;
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
    template <class T>
    const EigenLanes<T>& eigen_lanes() const {
        if constexpr (sizeof(T) == 4)
            return *eigen_lanes_float32;
        else
            return *eigen_lanes_float64;
    }
    template <class T>
    const SmallProduct<T>& small_product() const {
        if constexpr (sizeof(T) == 4)
            return *small_product_float32;
        else
            return *small_product_float64;
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
