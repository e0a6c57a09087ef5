// Second moments of gradients in a Kronecker-factored eigenbasis (George et al. 2018, "Fast Approximate Natural
// Gradient Descent in a Kronecker-factored Eigenbasis", section 3).
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// updated = decay S + scale sum_n M_n o M_n for every matrix of every task, where M_n = Q_G^T (sum_t g_nt a_nt^T) Q_A
/// is the gradient of case n in the basis, and o multiplies element by element.
/// Shapes: A (batch, N, T, d), G (batch, N, T, q), Q_A (batch, p, p) and Q_G (batch, q, q) with one vector a column, S
/// and updated (batch, q, p) with p = d, or p = d + 1 where bias appends an implicit 1 to every row of A. decay and
/// scale: one number a matrix; without scale (null) it is (1 - decay) / N, and 0 where N = 0.
///
/// S is read element by element, and not at all where decay is 0; `updated` may be S itself, and may overlap nothing
/// else. N = 0 only decays. A decay outside [0, 1] or a scale that is not finite makes that matrix NaN (there is no
/// status); NaN in an input stays within its own matrix. Rows of any dtype are converted to T, which is what they are
/// multiplied and accumulated in; long sums are taken in ranges of cases, whose number depends on the shape alone,
/// added in their order.
///
/// The gradients of single cases are never stored where T = 1. Cost per matrix: with T = 1, 2 N (p^2 + q^2 + p q)
/// flops; with T > 1 the cheaper of 2 N T (p^2 + q^2 + p q) and 2 N (T p q + p q (p + q)) (see ekfac_plan.h). Scratch:
/// 64 MB a group, on a device 100 MB, or twice the size of the largest S if that is more; on the CPU, a thread takes
/// two bands of 192 rows of S besides, and copies of rows and bases that the BLAS cannot read as they are. Same bits
/// for any number of threads.
template <class T>
struct UpdateEkfacMoments {
    Stack<const T> S;
    Rows A, G;
    Stack<const T> Q_A, Q_G;
    bool bias;
    const double* decay;
    const double* scale;
    Stack<T> updated;
};

template <class T>
void update_ekfac_moments(const Queue& queue, std::span<const UpdateEkfacMoments<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
