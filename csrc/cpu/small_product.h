// Products of small matrices in registers, as they lie in memory: nothing is packed. Compiled once per instruction set
// (small_product.isa.cpp).
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

template <class T>
struct SmallProduct {
    /// C = A B with A (m, k) of any strides, and the elements of a row of B (k, n) and of C (m, n) neighbours. C may
    /// not overlap A or B. An element of C is the same chain of multiply-adds wherever it lies in C.
    void (*multiply)(const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C);
    /// P_b = L_b V_b R_b for b in [first, first + count) as two of these products, of which L_b V_b or V_b R_b is the
    /// first. `half` is memory for one V_b. What the next of them reads is fetched meanwhile.
    void (*multiply_two_sided)(Index first, Index count, bool left_first, const Stack<const T>& L,
                               const Stack<const T>& V, const Stack<const T>& R, const Stack<T>& P, T* half);
    /// Of B, up to which this is faster than packing it.
    Index most_bytes;
};

}  // namespace curvblas::cpu
