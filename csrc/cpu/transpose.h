// Matrices turned in registers, block by block.
#pragma once

#include "cpu/micro.h"

namespace curvblas::cpu {

/// to[i, j] = factor * from[j, i], in the precision of W; neither side need be square.
template <class W, class T>
void transpose(const Micro& micro, Index rows, Index columns, const T* from, Index from_ld, W factor, W* to, Index ld);

/// The upper triangle of A (n, n) becomes the mirror image of the lower one.
template <class T>
void mirror(const Micro& micro, Index n, T* A, Index ld);

}  // namespace curvblas::cpu
