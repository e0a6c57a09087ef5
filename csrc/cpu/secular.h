// The eigenproblem of a diagonal matrix that a matrix of rank one is added to, many eigenvalues at a time in vectors.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// diag(poles) + weight z z^T, weight > 0: poles ascending and distinct, no z_j zero.
struct RankOneUpdate {
    Index count;
    const double *poles, *squares;  ///< squares[j] = z_j^2
    double weight;
};

/// Eigenvalue i is origin[i] + offset[i], where the origin is the pole that it lies nearest to: its distance to any
/// pole, (pole - origin) - offset, is known to full relative precision. All arrays are read, but not written, up to
/// `padding` - 1 elements beyond their end.
template <class T>
struct Secular {
    static constexpr Index padding = 16;
    /// Eigenvalues [first, last): zeros of 1/weight + sum_j z_j^2 / (pole_j - x), to within `unit` of its rounding
    /// errors. False if some did not converge.
    bool (*find_zeros)(const RankOneUpdate& of, Index first, Index last, double unit, double* origin, double* offset);
    /// sqrt(weight) |z_j| for j in [first, last) of the update whose eigenvalues these are exactly (Gu and Eisenstat
    /// 1994); z itself would give eigenvectors that are not orthogonal.
    void (*recompute_z)(const RankOneUpdate& of, Index first, Index last, const double* origin, const double* offset,
                        double* z);
    /// The unit eigenvector with entries z_j / (pole_j - eigenvalue), in any order of the poles; `work` and
    /// `to` are written up to a multiple of `padding` elements.
    void (*eigenvector)(Index count, const double* poles, const double* z, double origin, double offset, double* work,
                        T* to);
};

}  // namespace curvblas::cpu
