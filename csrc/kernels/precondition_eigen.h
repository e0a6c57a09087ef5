// Gradients divided by a damped curvature in its Kronecker-factored eigenbasis: exact Tikhonov damping (Martens and
// Grosse 2015, section 6.2), or E-KFAC (George et al. 2018, section 3).
#pragma once

#include <cmath>
#include <limits>
#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// P = Q_G [ (Q_G^T V Q_A) / (curvature + damping) ] Q_A^T for every matrix of every task, divided element by element.
/// Shapes: V, S, P (m, n); Q_A (n, n), Q_G (m, m), vectors in columns; A_values (1, n), G_values (1, m); damping one a
/// matrix. P may not overlap an input.
///
/// The curvature of element (i, j) is S_ij, or max(G_values_i, 0) max(A_values_j, 0) where S is absent (data null);
/// negative S count as 0. Divisions, and the products of eigenvalues, are in float64. Without damping elements whose
/// curvature is at most max(m, n) eps times the largest one become 0: the pseudo-inverse, eps that of T. NaN stays
/// within its matrix; a damping that is negative or not finite makes its matrix NaN.
///
/// Cost per matrix: 4 m n (m + n) flops, m n divisions; m^2 + n^2 + 3 m n words; scratch m n words.
template <class T>
struct PreconditionEigen {
    Stack<const T> V, Q_A, Q_G, A_values, G_values, S;
    const double* damping;
    Stack<T> P;
};

/// What the elements of one matrix are divided by.
template <class T>
class Denominators {
  public:
    /// `largest` is the largest curvature.
    CURVBLAS_DEVICE Denominators(const PreconditionEigen<T>& task, Index b, double largest)
        : damping_(task.damping[b] >= 0 && task.damping[b] * 0 == 0 ? task.damping[b] : NAN) {
        const Index m = task.V.rows, n = task.V.columns;
        const double cutoff =
            static_cast<double>(std::numeric_limits<T>::epsilon()) * static_cast<double>(m > n ? m : n);
        // Beside an infinite curvature none is negligible: division by zero then shows.
        least_ = largest * 0 == 0 ? cutoff * largest : -1;
    }

    /// Negative ones count as 0; NaN stays.
    CURVBLAS_DEVICE static double clamped(T curvature) { return curvature < 0 ? 0.0 : static_cast<double>(curvature); }

    CURVBLAS_DEVICE T divide(T x, double curvature) const {
        // Times 0 and not 0, so that NaN stays NaN.
        if (damping_ == 0 && curvature <= least_) return x * T(0);
        return static_cast<T>(static_cast<double>(x) / (curvature + damping_));
    }

  private:
    double damping_, least_;
};

template <class T>
void precondition_eigen(const Queue& queue, std::span<const PreconditionEigen<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
