// Sets of rows, (..., N, d) or (..., N, T, d): what the bindings of all kernels that read rows have in common.
#pragma once

#include "bindings/group.h"

namespace curvblas {

/// The set of rows `first` of an array with that many leading axes, and those after it; or weights, which have no last
/// axis.
Rows rows_view(const Array& a, int leading, bool weights, Index first);

/// ValueError unless R is (..., N, d) or (..., N, T, d) with the leading axes of C, whose last axis is n = d, or n = d
/// + 1 with `bias`. `inner`: the axes of C behind the leading ones.
void require_rows(const Array& C, const Array& R, bool bias, int inner = 2);

/// ValueError unless the rows of G are as long as the first of the inner axes of S, with the N (and T) of A.
void require_paired_rows(const Array& S, const Array& A, const Array& G, int inner = 2);

}  // namespace curvblas
