// Matrices turned in registers, block by block.
#pragma once

#include "cpu/micro.h"

namespace curvblas::cpu {

/// to[i, j] = factor * from[j, i] for so many rows and columns of `to`, in the precision of W. The elements of a row
/// are neighbours on both sides, which may not overlap.
template <class W, class T>
void transpose(const Micro& micro, Index rows, Index columns, const T* from, Index from_ld, W factor, W* to, Index ld);

/// The upper triangle of A (n, n) becomes the mirror image of the lower one.
template <class T>
void mirror(const Micro& micro, Index n, T* A, Index ld);

}  // namespace curvblas::cpu
