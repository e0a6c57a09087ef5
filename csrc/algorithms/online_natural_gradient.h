// Kaldi's online natural gradient for rows (Povey, Zhang and Khudanpur 2015): each row of a minibatch is multiplied by
// the inverse of a low-rank estimate of the rows' second moment, and the minibatch keeps its Frobenius norm.
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// One side of a layer: X_hat = gain X (I - W^T W) for the rows X (N, D), which is X G^-1 with G = F + (alpha / D)
/// tr(F) I but for its norm, which is that of X; F as it was before this call. Then, where `updates`, F becomes the
/// moving average (1 - eta) F + eta X^T X / N, brought back to rank by one step of a power iteration that keeps its
/// trace. The first time ever, `passes` > 0 such updates on X make the start.
///
/// State: rows (2 rank, D), of which the first half is W and the second half scratch; d (rank) and rho (1) in float64.
/// rank = 0 has no state, and X_hat = X. X_hat is contiguous and may not overlap X.
/// Statuses: ok; not_finite (X holds NaN or Inf, or what it makes of W or of its squares overflows: X_hat is NaN, the
/// state is left); no_convergence (of an eigenproblem of order rank; the state is left). Zeros give zeros and leave the
/// state. Cost: 4 N D rank flops, and 2 N D rank + 8 D rank^2 + 9 rank^3 more with an update.
template <class T>
struct OnlineNaturalGradient {
    Matrix<const T> X;
    Matrix<T> rows;
    double *d, *rho;
    double alpha, eta, epsilon, delta;
    bool updates;
    Index passes;
    Matrix<T> X_hat;
    Status* status;
};

template <class T>
void online_natural_gradient(const Queue& queue, std::span<const OnlineNaturalGradient<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
