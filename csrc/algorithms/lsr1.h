// Limited-memory SR1: exact trust-region steps and products with its matrix; steps of other compact models.
#pragma once

#include <span>

#include "algorithms/pair_models.h"
#include "core/status.h"
#include "core/view.h"
#include "kernels/lsr1_step.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

// The models are B = gamma I + Psi^T Minv^-1 Psi with Psi = Y - gamma S and Minv = D + L + L^T - gamma S S^T, where D +
// L + L^T mirrors the lower triangle of S Y^T (Brust, Erway and Marcia 2017). Pairs of zeros are not used. gamma is
// `initial`, or, if that is null: 0.9 times the lowest eigenvalue l of (D + L + L^T) v = l S S^T v if that is positive,
// else y.y / s.y of the newest pair with s.y > 0, else 1; enlarged by 10 % where an eigenvalue is so near that Minv
// would be nearly singular.

/// p minimises g.p + p.B p / 2 over |p| <= radius, for every model. Shapes: g and step (batch, 1, n), radius and
/// reports one a model; reduction is -g.p - p.B p / 2 >= 0, a sum of terms of one sign. step may not overlap an input.
///
/// What is m x m is done in float64, and so are all products of vectors. From the products of the pairs and g alone, S
/// and Y being read three times (twice with K) and Psi never stored, where eight bits are lost at most (float32: 22):
/// that is, where the largest |y_i - gamma s_i|^2, in its parts, over its Cholesky pivot, times the square of the
/// lesser of |g| / |g_perp| and (|B| + sigma) / (gamma + sigma), is at most 2^8 (2^22). Near-hard and nearly dependent
/// problems take Psi itself (m n words of scratch), Gram and Schmidt's orthogonalisation of its rows, each projected
/// twice, and g_perp projected twice instead: some 2 m^2 + 5 m rows are read. A device is waited for once, to know
/// which; rows that are those of newer ones but for 32 units of rounding of T are left out there. Where Minv is
/// singular, the oldest pairs are left out until it is not.
///
/// Cases: 0 |p| < radius, 1 the boundary, 2 the boundary along the lowest eigenvector (hard), which may be outside of
/// the span of Psi. Statuses: ok; not_finite (a pair, masked or not, or g, or a square of them); invalid_parameter
/// (radius or gamma); inaccurate (the step does not fit T, or is rounding beside gamma); no_convergence (of
/// eigenvectors). The step of all but ok is NaN. Cost per model: 3 m^2 n + 6 m n flops and some 12 m^3. Same bits for
/// any number of threads, and for a model alone.
template <class T>
struct Lsr1Step {
    PairModels<T> models;
    Stack<const T> g;
    const double* radius;
    Stack<T> step;
    Lsr1Reports reports;
};

template <class T>
void lsr1_step(const Queue& queue, const Lsr1Step<T>& step);

/// As Lsr1Step, for any B = gamma I + Psi^T M_inv^-1 Psi. Shapes: Psi (batch, m, n); M_inv (batch, m, m), of which the
/// lower triangle is read; mask as in PairModels. Rows of Psi that depend on each other all count. inaccurate: M_inv is
/// singular, or the step does not fit T. Cost per model: m^2 n + 4 m n flops and some 12 m^3.
template <class T>
struct CompactStep {
    Stack<const T> Psi, M_inv, mask;
    const double* gamma;
    Stack<const T> g;
    const double* radius;
    Stack<T> step;
    Lsr1Reports reports;
};

template <class T>
void compact_step(const Queue& queue, const CompactStep<T>& step);

/// P = B x for every model, x and P (batch, 1, n). `known` (null: they are formed): S x, Y x, x.x, 2 m + 1 numbers a
/// model that are `stride` apart. What is left out, and the statuses, one a model: as above. A device is waited for
/// once. Cost: as above without eigenvectors.
template <class T>
struct Lsr1Matvec {
    PairModels<T> models;
    Stack<const T> x;
    Stack<T> P;
    Status* status;
    const double* known = nullptr;
    Index stride = 0;
};

template <class T>
void lsr1_matvec(const Queue& queue, const Lsr1Matvec<T>& product);

}  // namespace curvblas::CURVBLAS_BACKEND
