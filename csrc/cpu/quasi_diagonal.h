// The quasi-diagonal inverse of the metric of one unit (kernels/solve_quasi_diagonal.h). Compiled once per instruction
// set (quasi_diagonal.isa.cpp).
#pragma once

#include "core/status.h"
#include "core/view.h"

namespace curvblas::cpu {

/// A unit but for its bias: rows of neighbouring elements, and M_00 with the damping in it. w may be g.
template <class T>
struct QuasiDiagonalRow {
    Index inputs;
    const T *first, *second, *g;
    double damping, floor, M_00, g_0;
    T* w;
};

template <class T>
struct QuasiDiagonal {
    /// Writes w, and the sum of M_0i w_i / M_00 to `shift`. Returns the worst status of an input: where that is not ok,
    /// neither is of use.
    Status (*solve)(const QuasiDiagonalRow<T>& unit, double* shift);
};

}  // namespace curvblas::cpu
