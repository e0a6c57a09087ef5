// The rule for gamma, of limited-memory SR1 without pairs; see algorithms/lsr1.h.
#pragma once

#include "kernels/lsr1.h"

namespace curvblas::CURVBLAS_BACKEND {

/// X = (D + L + L^T) R^-T with R R^T = S S^T, for pairs whose s do not depend on newer ones.
struct Lsr1Curvature {
    Lsr1Batch problems;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        constexpr double least = 1e-8;
        const Lsr1Problem p = problems.at(b);
        const Index m = p.m;
        CURVBLAS_ROLLED
        for (Index k = 0; k < p.pairs(); ++k) p.d()[k] = p.order()[k];
        const auto gram = [&](Index i, Index j) { return p.ss(i, j); };
        const auto size = [&](Index i) { return p.ss(i, i); };
        const Index r = ordered_cholesky(gram, size, least, p.pairs(), p.d(), m, p.L(), &p.worst());
        p.rank() = static_cast<double>(r);
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            double* const row = p.X() + i * m;
            CURVBLAS_ROLLED
            for (Index j = 0; j < r; ++j)
                row[j] = p.curvature(static_cast<Index>(p.d()[i]), static_cast<Index>(p.d()[j]));
            solve_lower(p.L(), m, r, row);
        }
    }
};

/// A = R^-1 X, which has the eigenvalues l of (D + L + L^T) v = l S S^T v.
struct Lsr1CurvatureAgain {
    Lsr1Batch problems;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        const Index m = p.m, r = static_cast<Index>(p.rank());
        double* const X = p.X();
        CURVBLAS_ROLLED
        for (Index j = 0; j < r; ++j) {
            CURVBLAS_ROLLED
            for (Index i = 0; i < r; ++i) p.v()[i] = X[i * m + j];
            solve_lower(p.L(), m, r, p.v());
            CURVBLAS_ROLLED
            for (Index i = 0; i < r; ++i) p.A()[i * m + j] = p.v()[i];
        }
        p.pad(r);
    }
};

/// gamma from these eigenvalues: 0.9 times the lowest if it is positive, and no rounding; else y.y / s.y of the newest
/// pair with s.y > 0, else 1, enlarged by 10 % until no eigenvalue is within a thousandth of it, where Minv would be
/// singular.
struct Lsr1Gamma {
    Lsr1Batch problems;
    const Status* basis;
    Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        constexpr double eps = 2.220446049250313e-16;
        const Lsr1Problem p = problems.at(b);
        if (basis[b] != Status::ok && status[b] == Status::ok) status[b] = Status::no_convergence;
        const auto r = static_cast<Index>(p.rank());
        double largest = 0;
        CURVBLAS_ROLLED
        for (Index j = 0; j < r; ++j) largest = fmax(largest, fabs(p.values[j]));
        p.gamma() = 1;
        if (r > 0 && p.values[0] > 16 * eps * p.worst() * largest) {
            p.gamma() = 0.9 * p.values[0];
            return;
        }
        CURVBLAS_ROLLED
        for (Index k = p.pairs() - 1; k >= 0; --k) {
            const Index i = p.pair(k);
            if (p.sy(i, i) > 0) p.gamma() = p.yy(i, i) / p.sy(i, i);
        }
        CURVBLAS_ROLLED
        for (Index tries = 0; tries <= r && is_near(p, r); ++tries) p.gamma() *= 1.1;
    }

  private:
    CURVBLAS_DEVICE static bool is_near(const Lsr1Problem& p, Index r) {
        bool found = false;
        CURVBLAS_ROLLED
        for (Index j = 0; j < r; ++j) found = found || fabs(p.values[j] - p.gamma()) < 1e-3 * p.gamma();
        return found;
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
