// The small work of limited-memory SR1: what is done with the products of its pairs, one problem an element. See
// algorithms/lsr1.h. What is as long as the vectors is that of gram and low_rank_apply.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "kernels/for_each_element.h"
#include "kernels/pairs.h"
#include "queue.h"
#include "small/larger.h"
#include "small/ordered_cholesky.h"
#include "small/rolled.h"
#include "small/symmetric_solve.h"
#include "small/trust_region.h"

namespace curvblas::CURVBLAS_BACKEND {

/// One problem with room for m pairs of n elements. K has their products, the oldest pair first, and `places` the rows
/// of S and Y that they are in. Small matrices have rows m apart.
struct Lsr1Problem : PairProducts {
    Index n;
    PairRing places;
    double *values, *weight, *base;

    /// Of `base`, in whole cache lines: rows of 8 or 16 numbers lie in one or two.
    CURVBLAS_DEVICE static Index words(Index m) { return (5 * m * m + 11 * m + 11 + 7) & ~Index{7}; }

    CURVBLAS_DEVICE double* A() const { return base; }              ///< whose eigenvectors are wanted
    CURVBLAS_DEVICE double* U() const { return base + m * m; }      ///< these, in columns
    CURVBLAS_DEVICE double* L() const { return base + 2 * m * m; }  ///< Psi = L Q, rows in the order of order()
    CURVBLAS_DEVICE double* G() const { return base + 3 * m * m; }  ///< products of rows; elimination
    CURVBLAS_DEVICE double* X() const { return base + 4 * m * m; }
    CURVBLAS_DEVICE double* order() const { return base + 5 * m * m; }  ///< pairs in use, the newest first
    CURVBLAS_DEVICE double* rows() const { return order() + m; }        ///< theirs, of Q
    CURVBLAS_DEVICE double* c() const { return order() + 2 * m; }       ///< Q g
    CURVBLAS_DEVICE double* d() const { return order() + 3 * m; }
    CURVBLAS_DEVICE double* q() const { return order() + 4 * m; }  ///< (2 m) coefficients of S and Y, or of Q
    CURVBLAS_DEVICE double* P() const { return order() + 6 * m; }  ///< (2 m + 1) S g, Y g, g g
    CURVBLAS_DEVICE double* lambda() const { return order() + 8 * m + 1; }
    CURVBLAS_DEVICE double* a() const { return order() + 9 * m + 2; }
    CURVBLAS_DEVICE double* v() const { return order() + 10 * m + 3; }
    CURVBLAS_DEVICE double& gamma() const { return order()[11 * m + 4]; }
    CURVBLAS_DEVICE double& count() const { return order()[11 * m + 5]; }       ///< entries of order()
    CURVBLAS_DEVICE double& worst() const { return order()[11 * m + 6]; }       ///< what rounding is multiplied by
    CURVBLAS_DEVICE double& outside() const { return order()[11 * m + 7]; }     ///< |g - Q^T Q g|^2
    CURVBLAS_DEVICE double& unit_index() const { return order()[11 * m + 8]; }  ///< of a unit vector in p, or -1
    CURVBLAS_DEVICE double& unit_weight() const { return order()[11 * m + 9]; }
    CURVBLAS_DEVICE double& rank() const { return order()[11 * m + 10]; }  ///< of S, of the pairs that tell gamma

    CURVBLAS_DEVICE Index row(Index k) const { return static_cast<Index>(rows()[k]); }
    CURVBLAS_DEVICE Index pairs() const { return static_cast<Index>(count()); }
    CURVBLAS_DEVICE Index pair(Index p) const { return static_cast<Index>(order()[p]); }
    CURVBLAS_DEVICE Index slot(Index i) const { return places.row(places.first(), i); }
    /// D + L + L^T: the products of s with what came before it.
    CURVBLAS_DEVICE double curvature(Index i, Index j) const { return i > j ? sy(i, j) : sy(j, i); }
    /// Products of rows of Psi = Y - gamma S, and the squares that they are the difference of.
    CURVBLAS_DEVICE double psi(Index i, Index j) const {
        return yy(i, j) - gamma() * (sy(i, j) + sy(j, i) - gamma() * ss(i, j));
    }
    CURVBLAS_DEVICE double size(Index i) const {
        return yy(i, i) + fabs(gamma()) * (2 * fabs(sy(i, i)) + fabs(gamma()) * ss(i, i));
    }
    CURVBLAS_DEVICE double psi_g(Index i) const { return P()[m + slot(i)] - gamma() * P()[slot(i)]; }

    /// A beyond `used` rows: eigenvalues above all others, so that their vectors stay apart.
    CURVBLAS_DEVICE void pad(Index used) const {
        double bound = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < used; ++i) {
            double sum = 0;
            CURVBLAS_ROLLED
            for (Index j = 0; j < used; ++j) sum += fabs(A()[i * m + j]);
            bound = larger(bound, sum);
        }
        CURVBLAS_ROLLED
        for (Index i = 0; i < m; ++i) {
            CURVBLAS_ROLLED
            for (Index j = 0; j < m; ++j)
                if (i >= used || j >= used) A()[i * m + j] = i == j ? (bound > 0 ? 2 * bound : 1) : 0;
        }
    }
    /// d_i = 1 / sqrt(|s_i| |psi_i|) of the pairs in use: d_i Minv_ij d_j does not change where pairs are multiplied by
    /// numbers.
    CURVBLAS_DEVICE void form_scales() const {
        CURVBLAS_ROLLED
        for (Index p = 0; p < pairs(); ++p) {
            double square = 0;
            CURVBLAS_ROLLED
            for (Index q = 0; q <= p; ++q) square += L()[p * m + q] * L()[p * m + q];
            d()[p] = 1 / sqrt(sqrt(ss(pair(p), pair(p))) * sqrt(square));
        }
    }
    /// G = D Minv D with Minv = D + L + L^T - gamma S S^T for the pairs in use, and D of form_scales.
    CURVBLAS_DEVICE void form_inverse() const {
        const Index r = pairs();
        const double shift = gamma();
        CURVBLAS_ROLLED
        for (Index p = 0; p < r; ++p) {
            const Index i = pair(p);
            CURVBLAS_ROLLED
            for (Index q = 0; q <= p; ++q) {
                const Index j = pair(q);
                G()[p * m + q] = G()[q * m + p] = d()[p] * (curvature(i, j) - shift * ss(i, j)) * d()[q];
            }
        }
    }
    /// X <- D X.
    CURVBLAS_DEVICE void scale_rows(Index columns) const {
        const Index r = pairs();
        CURVBLAS_ROLLED
        for (Index p = 0; p < r; ++p) {
            const double factor = d()[p];
            CURVBLAS_ROLLED
            for (Index q = 0; q < columns; ++q) X()[p * m + q] *= factor;
        }
    }
    /// X <- Minv^-1 X for `columns` columns, given L; false if Minv is singular.
    CURVBLAS_DEVICE bool solve_inverse(Index columns) const {
        constexpr double eps = 2.220446049250313e-16;
        form_inverse();
        scale_rows(columns);
        if (!(eliminate(G(), m, pairs(), X(), columns) > 16 * eps)) return false;
        scale_rows(columns);
        return true;
    }
    /// X = Minv^-1 L; false if Minv is singular.
    CURVBLAS_DEVICE bool solve_model() const {
        const Index r = pairs();
        CURVBLAS_ROLLED
        for (Index p = 0; p < r; ++p) {
            CURVBLAS_ROLLED
            for (Index q = 0; q < r; ++q) X()[p * m + q] = q <= p ? L()[p * m + q] : 0;
        }
        return solve_inverse(r);
    }
    /// A = L^T X, which is B - gamma I in the basis Q.
    CURVBLAS_DEVICE void form_model() const {
        const Index r = pairs();
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            double* const row = A() + i * m;
            CURVBLAS_ROLLED
            for (Index j = 0; j < r; ++j) row[j] = 0;
            CURVBLAS_ROLLED
            for (Index p = i; p < r; ++p) {
                const double factor = L()[p * m + i];
                CURVBLAS_ROLLED
                for (Index j = 0; j < r; ++j) row[j] += factor * X()[p * m + j];
            }
        }
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            CURVBLAS_ROLLED
            for (Index j = 0; j < i; ++j) A()[i * m + j] = A()[j * m + i] = (A()[i * m + j] + A()[j * m + i]) / 2;
        }
        pad(r);
    }
    /// lambda and a of the eigenvectors of B in the span of Q, and of the rest if there is one; how many there are.
    CURVBLAS_DEVICE Index spectrum() const {
        const Index r = pairs();
        CURVBLAS_ROLLED
        for (Index j = 0; j < r; ++j) {
            a()[j] = 0, lambda()[j] = values[j] + gamma();
            CURVBLAS_ROLLED
            for (Index p = 0; p < r; ++p) a()[j] += U()[p * m + j] * c()[p];
        }
        lambda()[r] = gamma(), a()[r] = sqrt(fmax(outside(), 0.0));
        return r < n ? r + 1 : r;
    }
};

/// `batch` of them; `ring` has two numbers a model, or is null. `stride` is words(m).
struct Lsr1Batch {
    Index m, n, batch, stride;
    const double* ring;
    double *K, *values, *weight, *base;

    CURVBLAS_DEVICE Index count() const { return batch; }
    CURVBLAS_DEVICE Lsr1Problem at(Index b) const {
        const PairRing places{m, ring ? ring + 2 * b : nullptr};
        return {{m, K + b * 4 * m * m}, n, places, values + b * m, weight + b, base + b * stride};
    }
    Lsr1Batch only(Index b) const {
        const Lsr1Problem p = at(b);
        return {m, n, 1, stride, p.places.ring, p.K, p.values, p.weight, p.base};
    }
};

/// Which pairs are in use: those of `mask` (no data: all that are kept) that are not zero; gamma, if it is given; and
/// the status of what was given. A radius may be absent. `K` (null: those of the problems) are the products in the
/// order of the rows of S and Y. `known`, of the first of vectors `stride` apart: S g, Y g, g.g, unless P() has them.
template <class T>
struct Lsr1Begin {
    Lsr1Batch problems;
    const double *K, *known;
    Index stride;
    Stack<const T> mask;
    const double *gamma, *radius;
    Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (K) sort(p, K + b * 4 * p.m * p.m);
        CURVBLAS_ROLLED
        for (Index i = 0; i <= 2 * p.m && known; ++i) p.P()[i] = known[b * stride + i];
        double zero = p.P()[2 * p.m] * 0, pairs = 0;
        CURVBLAS_ROLLED
        for (Index i = p.places.kept() - 1; i >= 0; --i) {
            const double square = p.ss(i, i) + p.yy(i, i);
            zero += p.ss(i, i) * 0 + p.yy(i, i) * 0;
            if (square > 0 && (!mask.data || mask[b](0, i) != T(0))) p.order()[static_cast<Index>(pairs++)] = double(i);
        }
        p.count() = pairs, p.gamma() = gamma ? gamma[b] : 1, p.unit_index() = -1, p.unit_weight() = 0;
        status[b] = zero == 0 ? Status::ok : Status::not_finite;  // NaN is not 0 either
        const bool is_radius = !radius || (radius[b] > 0 && radius[b] * 0 == 0);
        if (!is_radius || p.gamma() * 0 != 0) status[b] = Status::invalid_parameter;
        if (status[b] != Status::ok) p.count() = 0;
        p.pad(0);
    }

  private:
    CURVBLAS_DEVICE static void sort(const Lsr1Problem& p, const double* K) {
        const Index first = p.places.first(), kept = p.places.kept(), width = 2 * p.m;
        CURVBLAS_ROLLED
        for (Index i = 0; i < kept; ++i) {
            const Index from = p.places.row(first, i);
            CURVBLAS_ROLLED
            for (Index j = 0; j < kept; ++j) {
                const Index with = p.places.row(first, j);
                p.ss(i, j) = K[from * width + with], p.sy(i, j) = K[from * width + p.m + with];
                p.yy(i, j) = K[(p.m + from) * width + p.m + with];
            }
        }
    }
};

/// What refuses a problem: NaN coefficients, which make all that is summed with them NaN.
CURVBLAS_DEVICE inline void refuse(const Lsr1Problem& p) {
    CURVBLAS_ROLLED
    for (Index i = 0; i < 2 * p.m; ++i) p.q()[i] = NAN;
    *p.weight = NAN;
}

}  // namespace curvblas::CURVBLAS_BACKEND
