// What models that are given by Psi and Minv have of their own; the rest of their steps is that of limited-memory SR1.
// See algorithms/lsr1.h.
#pragma once

#include "kernels/lsr1.h"
#include "small/balance.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Products with S are zeros: Psi is in the place of Y.
struct CompactClear {
    Lsr1Batch problems;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.m; ++i) {
            p.P()[i] = 0;
            CURVBLAS_ROLLED
            for (Index j = 0; j < p.m; ++j) p.ss(i, j) = p.sy(i, j) = 0;
        }
    }
};

/// A = F^T M_inv^-1 F, which is B - gamma I in the basis Q, for Psi = F Q with all rows of Psi, unless `needs_basis`
/// (null: none does). F, in U(), are the rows of L in the order of those of Psi, without the columns of rows that have
/// none in Q: those of the others are in rows(), and counted. Rows that are masked are not there; not_finite where the
/// lower triangle of M_inv is not, inaccurate where what is left of it is singular.
template <class T>
struct CompactModel {
    Lsr1Batch problems;
    Stack<const T> M_inv, mask;
    const double* needs_basis;
    Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        constexpr double eps = 2.220446049250313e-16;
        const Lsr1Problem p = problems.at(b);
        const Index m = p.m;
        if (status[b] != Status::ok || (needs_basis && needs_basis[b] != 0)) return p.pad(0);
        take_rows(p);
        const Index r = p.pairs();
        status[b] = read(p, b);
        if (status[b] != Status::ok) return p.pad(0);
        balance(p.G(), m, m, p.d());
        scale(p, p.U());
        if (!(eliminate(p.G(), m, m, p.X(), r) > 16 * eps * static_cast<double>(m))) {
            status[b] = Status::inaccurate;
            return p.pad(0);
        }
        scale(p, p.X());
        multiply(p);
        p.pad(r);
    }

  private:
    CURVBLAS_DEVICE bool is_used(Index b, Index i) const { return !mask.data || mask[b](0, i) != T(0); }
    CURVBLAS_DEVICE static void take_rows(const Lsr1Problem& p) {
        const Index m = p.m;
        Index rank = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < m * m; ++i) p.U()[i] = 0;
        CURVBLAS_ROLLED
        for (Index k = 0; k < p.pairs(); ++k) {
            if (p.L()[k * m + k] > 0) p.rows()[rank++] = static_cast<double>(k);
            CURVBLAS_ROLLED
            for (Index q = 0; q < rank; ++q) p.U()[p.pair(k) * m + q] = p.L()[k * m + p.row(q)];
        }
        p.count() = static_cast<double>(rank);
    }
    /// G = M_inv, with rows of the identity for those that are masked, which are zero in F.
    CURVBLAS_DEVICE Status read(const Lsr1Problem& p, Index b) const {
        const Index m = p.m;
        double zero = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < m; ++i) {
            CURVBLAS_ROLLED
            for (Index j = 0; j <= i; ++j) {
                const bool is_there = is_used(b, i) && is_used(b, j);
                const auto given = static_cast<double>(M_inv[b](i, j));
                zero += given * 0;
                p.G()[i * m + j] = p.G()[j * m + i] = is_there ? given : i == j ? 1 : 0;
            }
        }
        return zero == 0 ? Status::ok : Status::not_finite;  // NaN is not 0 either
    }
    /// X = D F, for D in d().
    CURVBLAS_DEVICE static void scale(const Lsr1Problem& p, const double* F) {
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.m; ++i) {
            CURVBLAS_ROLLED
            for (Index q = 0; q < p.pairs(); ++q) p.X()[i * p.m + q] = p.d()[i] * F[i * p.m + q];
        }
    }
    /// A = F^T X, which is symmetric but for rounding.
    CURVBLAS_DEVICE static void multiply(const Lsr1Problem& p) {
        const Index m = p.m;
        const auto product = [&](Index i, Index j) {
            double sum = 0;
            CURVBLAS_ROLLED
            for (Index k = 0; k < m; ++k) sum += p.U()[k * m + i] * p.X()[k * m + j];
            return sum;
        };
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.pairs(); ++i) {
            CURVBLAS_ROLLED
            for (Index j = 0; j <= i; ++j) p.A()[i * m + j] = p.A()[j * m + i] = (product(i, j) + product(j, i)) / 2;
        }
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
