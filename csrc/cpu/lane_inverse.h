// Damped inverses of small matrices, one matrix in each lane of the vectors. Compiled once per instruction set
// (lane_inverse.isa.cpp).
#pragma once

#include <cstdint>

#include "core/view.h"

namespace curvblas::cpu {

constexpr Index largest_in_lanes = 64;

/// Up to as many matrices as there are lanes: of C (n, n), n > 0, only the lower triangle counts, although full rows
/// may be read; rows are contiguous.
template <class T>
struct LaneProblems {
    static constexpr int most = 16;
    int count;
    const T* C[most];
    T* X[most];
    Index n[most], C_stride[most], X_stride[most];
    double shift[most];  ///< not negative, finite
    // Results, bit l and entry l for lane l. X is written, and the others count, only where the matrix is solved: its
    // residual is small beyond doubt.
    std::uint32_t solved;
    double residual[most], log_det[most];
};

/// Inverts in the precision W: A = L L^T, M = L^-1, X = M^T M, n^3 flops, in 4 x 4 blocks of vectors whose lane l
/// belongs to matrix l. Matrices of smaller order are padded with the identity, which changes no bit of them: nor do
/// the other lanes. There are no branches for bad matrices: NaN, a pivot that is not positive, overflow all end in a
/// residual that is not small, and such a lane is left to an algorithm that tells what is wrong.
///
/// Solved means: residual <= 1e-3, where the residual is the larger of ||R z|| and ||R w|| for R = A X - I in W, z a
/// vector of signs and w = X z / ||X z||, plus the bound u ||A|| ||X|| on its own rounding (u of W). Where the rounding
/// of X to T may weigh more than 2.5e-3, 16 more vectors of signs are tried.
template <class T, class W>
struct LaneInverse {
    int lanes;  ///< matrices at a time
    /// `order` is at least every n and a multiple of 4; `signs` holds 17 vectors of largest_in_lanes signs, +1 or -1;
    /// `scratch` holds words(order) for each of `count` problems, aligned to 64 bytes.
    void (*invert)(Index order, LaneProblems<T>* problems, Index count, const double* signs, W* scratch);

    Index words(Index order) const { return order * (order + 4) * lanes; }
};

}  // namespace curvblas::cpu
