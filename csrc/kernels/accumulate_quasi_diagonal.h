// First and second moments of rows under weights of units: what the quasi-diagonal reduction keeps of their metrics
// (Ollivier 2015, "Riemannian metrics for neural networks I: feedforward networks").
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// first_ki <- decay first_ki + scale sum_r w_rk x_ri, second_ki <- decay second_ki + scale sum_r w_rk x_ri^2 for every
/// unit k of every matrix of every task, where r runs over the N T rows of R and x_r is row r with an implicit 1 behind
/// it. Shapes: R (batch, N, T, p - 1), W (batch, N, T, q), moments (batch, q, p). decay and scale: one number a matrix;
/// without scale (null) it is (1 - decay) / N, and 0 where N = 0.
///
/// Moments are read element by element, and not at all where decay is 0; `updated` may be the same memory, and may
/// overlap nothing else. N = 0 only decays. A decay outside [0, 1] or a scale that is not finite makes that matrix NaN
/// (there is no status); NaN in an input stays within its own matrix, and in a weight or a moment within its own unit.
/// Rows and weights of any dtype are converted to T, in which up to 4,096 rows are multiplied and accumulated; further
/// ones are added in float64. Cost per matrix: 4 N T q p flops; N T (p + q) + 4 q p words. Scratch on the CPU: below 5
/// MB a thread; on a device, one tile of 64 x 64 words a range of at least 2,048 rows. Same bits for any number of
/// threads.
template <class T>
struct AccumulateQuasiDiagonal {
    Stack<const T> first, second;
    Rows R, W;
    const double* decay;
    const double* scale;
    Stack<T> updated_first, updated_second;
};

template <class T>
void accumulate_quasi_diagonal(const Queue& queue, std::span<const AccumulateQuasiDiagonal<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
