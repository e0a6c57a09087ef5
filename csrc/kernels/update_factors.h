// Accumulation of Kronecker factors (Martens and Grosse 2015, section 3; scaling as in Grosse and Martens 2016).
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// updated = decay C + scale sum_r w_r x_r x_r^T for every matrix of every task, where r runs over the N T rows of R.
/// Shapes: R (batch, N, T, d), w (batch, N, T) or absent (all ones), C and updated (batch, n, n) with n = d, or n = d +
/// 1 where bias appends an implicit 1 to every row. decay and scale: one number a matrix; without scale (null) it is
/// (1 - decay) / N, and 0 where N = 0.
///
/// Only the lower triangle of C is read, and nothing of it where decay is 0; `updated` is written whole and exactly
/// symmetric, and may be C itself. R and w may not overlap `updated`. N = 0 only decays. A decay outside [0,
/// most_decay] or a scale that is not finite makes that matrix NaN (there is no status); NaN in R or C stays within its
/// own matrix. Rows of any dtype are converted to T, which is what they are multiplied and accumulated in; sums over
/// more than 4,096 rows are added up in float64, or enter the average every so often. So float32 sums of rows that vary
/// err below 1e-6; those of equal rows, whose rounding errors all have one sign, by 3e-6 on the CPU and more on a
/// device. How the rows are cut depends on the shape alone.
/// Cost per matrix: N T n (n + 1) flops; N T d + n^2 (read) + n^2 (written) words. Scratch on the CPU: below 1.5 MB a
/// thread, and 32 MiB, or what one matrix needs, for the sums of ranges of rows and as much for packed rows; on a
/// device, one tile of 64 x 64 words a range of at least 2,048 rows, 64 MiB at a time. Same bits for any number of
/// threads.
template <class T>
struct UpdateFactors {
    Stack<const T> C;
    Rows R, w;
    bool bias;
    const double* decay;
    const double* scale;
    Stack<T> updated;
    double most_decay = 1;  ///< beyond 1 where what is not observed is to grow
};

template <class T>
void update_factors(const Queue& queue, std::span<const UpdateFactors<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
