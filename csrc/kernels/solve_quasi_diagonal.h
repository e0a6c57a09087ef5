// The quasi-diagonal inverse of the metrics of units (Ollivier 2015, "Riemannian metrics for neural networks I:
// feedforward networks").
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// From a row of moments of a unit, first (M_01, ..., M_0,p-1, M_00), second (M_11, ..., M_p-1,p-1, not read), and its
/// gradient g (g_1, ..., g_p-1, g_0), for i >= 1
///     w_i = (g_i M_00 - g_0 M_0i) / max(M_ii M_00 - M_0i^2, floor M_ii M_00),    w_0 = (g_0 - sum_i M_0i w_i) / M_00
/// after damping is added to M_00 and to every M_ii. Shapes: moments, gradients and w (batch, q, p), p >= 1; damping
/// one a matrix; status q a matrix. w may be g, and overlaps nothing else.
///
/// w_i is 0 where M_ii is, and all of w where M_00 is: such a unit is dead, its status ok. Statuses, one a unit:
/// invalid_parameter (a damping that is negative or not finite); not_finite (an input or a result is not);
/// not_positive_definite (M_00 or an M_ii is negative, or M_ii M_00 - M_0i^2 by more than rounding explains). Where it
/// is not ok, all of w is NaN. Computed in float64. Cost per matrix: 8 q p flops; 4 q p words. Same bits for any number
/// of threads.
template <class T>
struct SolveQuasiDiagonal {
    Stack<const T> first, second, g;
    const double* damping;
    double floor;
    Stack<T> w;
    Status* status;
};

template <class T>
void solve_quasi_diagonal(const Queue& queue, std::span<const SolveQuasiDiagonal<T>> group);

/// The arithmetic of unit k of matrix b.
template <class T>
class QuasiDiagonalUnit {
  public:
    CURVBLAS_DEVICE QuasiDiagonalUnit(const SolveQuasiDiagonal<T>& task, Index b, Index k)
        : first_(task.first[b].row(k)),
          second_(task.second[b].row(k)),
          g_(task.g[b].row(k)),
          w_(task.w[b].row(k)),
          first_stride_(task.first.column_stride),
          second_stride_(task.second.column_stride),
          g_stride_(task.g.column_stride),
          w_stride_(task.w.column_stride),
          inputs_(task.first.columns - 1),
          damping_(task.damping[b]),
          floor_(task.floor),
          M_00_(static_cast<double>(first_[inputs_ * first_stride_]) + damping_),
          g_0_(static_cast<double>(g_[inputs_ * g_stride_])),
          inverse_(M_00_ == 0 ? 0 : 1 / M_00_) {}

    CURVBLAS_DEVICE Index inputs() const { return inputs_; }
    CURVBLAS_DEVICE double M_00() const { return M_00_; }
    CURVBLAS_DEVICE double g_0() const { return g_0_; }

    /// What is known before any input is looked at. Statuses of one unit are joined by worse().
    CURVBLAS_DEVICE Status status() const {
        if (!(damping_ >= 0 && damping_ * 0 == 0)) return Status::invalid_parameter;
        if (!(M_00_ * 0 == 0 && g_0_ * 0 == 0)) return Status::not_finite;
        return M_00_ < 0 ? Status::not_positive_definite : Status::ok;
    }
    CURVBLAS_DEVICE static Status worse(Status a, Status b) { return a > b ? a : b; }

    /// Writes w_i, and adds M_0i w_i / M_00 to `shift`.
    CURVBLAS_DEVICE Status solve(Index i, double& shift) const {
        constexpr double rounding = 1e-3;  // of moments in float32 that were averaged for long
        const double M_0i = static_cast<double>(first_[i * first_stride_]);
        const double M_ii = static_cast<double>(second_[i * second_stride_]) + damping_;
        const double g_i = static_cast<double>(g_[i * g_stride_]);
        if (!(M_0i * 0 + M_ii * 0 + g_i * 0 == 0)) return Status::not_finite;
        const double mean = M_0i * inverse_, variance = M_ii - mean * M_0i;
        if (M_ii < 0 || variance < -rounding * M_ii) return Status::not_positive_definite;
        const double divisor = variance > floor_ * M_ii ? variance : floor_ * M_ii;
        const double w_i = M_00_ == 0 || M_ii == 0 ? 0 : (g_i - mean * g_0_) / divisor;
        shift += mean * w_i;
        w_[i * w_stride_] = static_cast<T>(w_i);
        return static_cast<double>(w_[i * w_stride_]) * 0 == 0 ? Status::ok : Status::not_finite;
    }
    CURVBLAS_DEVICE Status solve_bias(double shift) const {
        const T w_0 = static_cast<T>(g_0_ * inverse_ - shift);
        w_[inputs_ * w_stride_] = w_0;
        return static_cast<double>(w_0) * 0 == 0 ? Status::ok : Status::not_finite;
    }
    CURVBLAS_DEVICE void fail(Index i) const { w_[i * w_stride_] = static_cast<T>(NAN); }

  private:
    const T *first_, *second_, *g_;
    T* w_;
    Index first_stride_, second_stride_, g_stride_, w_stride_, inputs_;
    double damping_, floor_, M_00_, g_0_, inverse_;
};

}  // namespace curvblas::CURVBLAS_BACKEND
