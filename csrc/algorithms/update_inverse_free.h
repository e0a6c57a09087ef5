// Inverse-free K-FAC: factors of the inverse curvature that are kept up to date by products alone (Lin et al. 2024).
#pragma once

#include <span>

#include "core/view.h"
#include "kernels/inverse_free.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// One step for every layer, in place: with H_K = K^T A K and H_C = C^T G C,
///     m_K <- keep m_K + ((tr H_C / q) H_K + damping (tr(C^T C) / q) K^T K - I) / 2,    K <- K - step K m_K,
/// and likewise m_C and C with the traces of the *old* K. The rule ikfac leaves the traces out. Shapes: K, A, m_K
/// (batch, p, p); C, G, m_C (batch, q, q); numbers one a layer. A and G are read whole. Nothing may overlap.
/// Cost per layer: 6 (p^3 + q^3) flops; scratch 2 (p^2 + q^2) words.
template <class T>
struct UpdateInverseFree {
    Stack<T> K, C;
    Stack<const T> A, G;
    Stack<T> K_momentum, C_momentum;
    const double *damping, *step, *keep;
};

template <class T>
void update_inverse_free(const Queue& queue, std::span<const UpdateInverseFree<T>> group, InverseFreeRule rule);

}  // namespace curvblas::CURVBLAS_BACKEND
