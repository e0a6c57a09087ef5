// The small systems of methods in the space of samples: N unknowns, semi-definite as often as not.
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// w = (K + damping I)^-1 e for every system, K (M, M) semi-definite, of which the lower triangle is read; e and w (M).
/// `eps` is the rounding of what K was formed from, `most` what the square of |J^H w| may be.
///
/// By Cholesky. Where there is no factor, or a row depends on those before it as far as 16 eps tell (a pivot is below
/// 16 eps times its diagonal element), by K's eigenvectors instead, without those of eigenvalues (with damping) below
/// max(M, 16) eps times the largest: the w of least norm. A device is waited for, once for all systems, to know where.
///
/// Statuses: ok; jittered (directions were left out); not_finite (K or e hold NaN or Inf, or w . e is above most);
/// invalid_parameter (damping negative or not finite); no_convergence (of the eigenproblem). w is NaN for all but the
/// first two. Cost per system: M^3 / 3 flops, by eigenvectors 6 M^3; scratch M^2 words.
struct SampleSystem {
    Matrix<const double> K;
    const double *e, *damping;
    double eps, most;
    double* w;
    Status* status;
};

void solve_sample_systems(const Queue& queue, std::span<const SampleSystem> systems);

}  // namespace curvblas::CURVBLAS_BACKEND
