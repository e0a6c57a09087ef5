// Statistics of rows that are some steps of time apart (Martens, Ba and Johnson 2018, "Kronecker-factored Curvature
// Approximations for Recurrent Neural Networks").
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// updated = decay C + scale sum_n sum_{t < T - lag} x_{n, t + lag} x_{n, t}^T for every matrix of every task.
/// Shapes: R (batch, N, T, d), C and updated (batch, n, n) with n = d, or n = d + 1 where bias appends an implicit 1 to
/// every row. decay and scale: one number a matrix; without scale (null) it is (1 - decay) / (N T) for every lag, and 0
/// where N T = 0. `symmetric` takes (x_{n, t + lag} x_{n, t}^T + x_{n, t} x_{n, t + lag}^T) / 2 instead.
///
/// C is read element by element, and not at all where decay is 0; with `symmetric` only its lower triangle is read, and
/// `updated`, written whole, is exactly symmetric. `updated` may be C itself; R may not overlap it. lag >= T adds
/// nothing. A decay outside [0, 1] or a scale that is not finite makes that matrix NaN (there is no status); NaN in R
/// or C stays within its own matrix. Rows of any dtype are converted to T, which is what they are multiplied and
/// accumulated in; long sums are taken in ranges, whose number depends on the shape alone, added in their order. Cost
/// per matrix: 2 N (T - lag) n^2 flops; 2 N T d + 2 n^2 words. Scratch on the CPU: 5 MB a thread, and 64 MB for the
/// ranges; on a device, one tile of 64 x 64 words a range of at least 2,048 rows. Same bits for any number of threads.
template <class T>
struct UpdateLaggedFactors {
    Stack<const T> C;
    Rows R;
    Index lag;
    bool symmetric, bias;
    const double* decay;
    const double* scale;
    Stack<T> updated;
};

template <class T>
void update_lagged_factors(const Queue& queue, std::span<const UpdateLaggedFactors<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
