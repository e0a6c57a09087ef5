// Kalman filters of static parameters, which are online natural gradients (Ollivier 2017, arXiv 1703.00209).
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// One step of the filter of every block of parameters: with H (o, n_b), the block's columns of the jacobian,
///     P <- P / (1 - fading),    S = H P H^T + R,    K = P H^T S^-1,    P <- P - K H P,    update = K e.
/// Shapes: P, the covariances (n_b, n_b) of all blocks one after the other, contiguous, symmetric and read and written
/// in place; `begins` (blocks + 1, on the host) says where blocks begin; H (o, n); e (o, 1); R (o, o), of which the
/// lower triangle is read, or (o, 1), its diagonal; update (n). Nothing that is written may overlap anything.
///
/// P stays exactly symmetric: X^T X is subtracted, X = L^-1 H P for S = L L^T. H P and S are products of up to 8 rows
/// formed in float64, of more in T (S in float64 beyond gram's pieces); H P and X are rounded to T, all that is o x o
/// is float64. Statuses, one a block: ok; not_finite (H P H^T, R or L^-1 e is not) and not_positive_definite (S has no
/// factor): P of the block is left as it is, its update is NaN. Cost per block: 3 n_b^2 o flops and 3 o^2 n_b; P is
/// read one and a half times, written once. Same bits for any number of threads, and for a block alone.
template <class T>
struct KalmanStep {
    T* P;
    std::span<const Index> begins;
    Matrix<const T> H, e, R;
    bool is_diagonal;
    double fading;
    T* update;
    Status* status;
};

template <class T>
void kalman_step(const Queue& queue, const KalmanStep<T>& step);

/// The first P: `given`, of the form of P and on the host (only lower triangles are read), or (empty) `variance` I.
template <class T>
void kalman_start(const Queue& queue, T* P, std::span<const Index> begins, std::span<const double> given,
                  double variance);

}  // namespace curvblas::CURVBLAS_BACKEND
