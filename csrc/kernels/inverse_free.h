// The element-wise parts of inverse-free K-FAC (Lin et al. 2024, "Structured inverse-free natural gradient"): what lies
// between its matrix products.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

enum class InverseFreeRule : std::uint8_t {
    singd,  ///< with the traces of the other factor
    ikfac,  ///< without them: K K^T follows (A + damping I)^-1
};

/// One factor K (n, n) with its curvature A, beside the other factor C (q, q) of the same layer with G: all of a layer
/// is known to both. H = A K and H_other = G C are given.
///
/// combine_curvature:  U <- a H + b K, with a = tr(C^T G C) / q and b = damping tr(C^T C) / q, or a = 1 and b = damping
///                     by the rule ikfac; sums in float64.
/// update_momentum:    new_momentum = keep momentum + (K^T U - I) / 2, where K^T U is given; nothing of the old one
///                     is read where keep = 0.
/// apply_momentum:     new_K = K - step D, where D = K new_momentum is given.
///
/// Numbers, one a layer, that are out of range (damping, step: negative or not finite; keep: outside of [0, 1]) make
/// their layer NaN. Cost: a few words and flops an element.
template <class T>
struct InverseFreeFactor {
    Stack<const T> K, momentum;
    Stack<T> H, U, product;  ///< product: K^T U, then D
    Stack<const T> C, H_other;
    const double *damping, *step, *keep;
    Stack<T> new_K, new_momentum;  ///< may be the old ones
};

template <class T>
void combine_curvature(const Queue& queue, std::span<const InverseFreeFactor<T>> group, InverseFreeRule rule);
template <class T>
void update_momentum(const Queue& queue, std::span<const InverseFreeFactor<T>> group);
template <class T>
void apply_momentum(const Queue& queue, std::span<const InverseFreeFactor<T>> group);

/// The arithmetic of one element, and of the numbers of one layer.
CURVBLAS_DEVICE inline double valid_or_nan(double x, double most) {
    return x >= 0 && x <= most && x * 0 == 0 ? x : NAN;
}

struct CurvatureWeights {
    double a, b;

    /// `trace` is tr(C^T G C), `square` is tr(C^T C), of q rows. Without rows both means count as 1.
    CURVBLAS_DEVICE CurvatureWeights(InverseFreeRule rule, double damping, double trace, double square, Index q) {
        const bool means = rule == InverseFreeRule::singd && q > 0;
        a = means ? trace / static_cast<double>(q) : 1.0;
        b = valid_or_nan(damping, HUGE_VAL) * (means ? square / static_cast<double>(q) : 1.0);
    }
};

template <class T>
CURVBLAS_DEVICE T next_momentum(double keep, T old, T product, bool on_diagonal) {
    const double fresh = (static_cast<double>(product) - (on_diagonal ? 1.0 : 0.0)) / 2;
    return static_cast<T>(keep == 0 ? fresh : keep * static_cast<double>(old) + fresh);
}

}  // namespace curvblas::CURVBLAS_BACKEND
