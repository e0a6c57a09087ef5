// Inverse-free K-FAC: factors of the inverse curvature that are kept up to date by products alone (Lin et al. 2024).
#pragma once

#include <span>

#include "core/view.h"
#include "kernels/inverse_free.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// One step for every layer: with H_K = K^T A K and H_C = C^T G C,
///     m_K <- keep m_K + ((tr H_C / q) H_K + damping (tr(C^T C) / q) K^T K - I) / 2,    K <- K - step K m_K,
/// and likewise m_C and C with the traces of the *old* K. The rule ikfac leaves the traces out. Shapes: K, A, m_K
/// (batch, p, p); C, G, m_C (batch, q, q); numbers one a layer. All are read whole. What is written may be what it
/// replaces, and nothing else may overlap.
/// Cost per layer: 6 (p^3 + q^3) flops; scratch 2 (p^2 + q^2) words.
template <class T>
struct UpdateInverseFree {
    Stack<const T> K, C, A, G, K_momentum, C_momentum;
    const double *damping, *step, *keep;
    Stack<T> new_K, new_C, new_K_momentum, new_C_momentum;
};

template <class T>
void update_inverse_free(const Queue& queue, std::span<const UpdateInverseFree<T>> group, InverseFreeRule rule);

}  // namespace curvblas::CURVBLAS_BACKEND
