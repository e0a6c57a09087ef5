// Trust-region steps of limited-memory SR1 from the products of pairs; see algorithms/lsr1.h.
#pragma once

#include "kernels/lsr1.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What T can hold, and what may be lost. A length between 0 and `least` has elements that T rounds to zero.
struct Lsr1Limits {
    double loss, least, most;
};

/// What is known about the steps, one entry a problem.
struct Lsr1Reports {
    double *multiplier, *reduction;
    std::int8_t* kind;
    Status* status;

    Lsr1Reports from(Index b) const { return {multiplier + b, reduction + b, kind + b, status + b}; }
    /// A step that does not fit its type is none; nor is one whose eigenvalues are rounding of gamma.
    CURVBLAS_DEVICE void set(Index b, const Lsr1Problem& p, const TrustRegionAnswer& answer, Index count,
                             const Lsr1Limits& limits) const {
        constexpr double rounding = 1e-14;
        double largest = fabs(answer.length);
        CURVBLAS_ROLLED
        for (Index j = 0; j < count; ++j) largest = larger(largest, fabs(p.v()[j]));
        const bool fits =
            largest <= limits.most / sqrt(static_cast<double>(count + 1)) && (largest == 0 || largest >= limits.least);
        const bool is_drowned = count == p.pairs() && rounding * fabs(p.gamma()) > 1e-2 * answer.largest;
        if (!fits || is_drowned) return set_failed(b, p, Status::inaccurate);
        multiplier[b] = answer.multiplier, reduction[b] = answer.reduction;
        kind[b] = static_cast<std::int8_t>(answer.kind);
    }
    CURVBLAS_DEVICE void set_failed(Index b, const Lsr1Problem& p, Status why) const {
        status[b] = why, multiplier[b] = reduction[b] = NAN, kind[b] = 0;
        refuse(p);
    }
};

/// Psi = L Q from the products, c = Q g and v = Psi g. `needs_basis` where a pivot is below its share of the squares
/// that it is the difference of, and digits are lost. not_finite where these squares overflow.
struct Lsr1Factor {
    Lsr1Batch problems;
    double most_loss;
    double* needs_basis;
    Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        const Index k = p.pairs();
        needs_basis[b] = 0;
        double zero = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < k; ++i) p.v()[i] = p.order()[i], zero += p.size(p.pair(i)) * 0;
        if (zero != 0) {
            status[b] = Status::not_finite, p.count() = 0;
            return;
        }
        const auto gram = [&](Index i, Index j) { return p.psi(i, j); };
        const auto size = [&](Index i) { return p.size(i); };
        if (ordered_cholesky(gram, size, 1 / most_loss, k, p.order(), p.m, p.L(), &p.worst()) < k) {
            CURVBLAS_ROLLED
            for (Index i = 0; i < k; ++i) p.order()[i] = p.v()[i];
            needs_basis[b] = 1;
            return;
        }
        p.form_scales();
        p.outside() = p.P()[2 * p.m];
        CURVBLAS_ROLLED
        for (Index i = 0; i < k; ++i) p.c()[i] = p.v()[i] = p.psi_g(p.pair(i));
        solve_lower(p.L(), p.m, k, p.c());
        CURVBLAS_ROLLED
        for (Index i = 0; i < k; ++i) p.outside() -= p.c()[i] * p.c()[i];
    }
};

/// X = Minv^-1 L, unless `needs_basis` (null: none does). Where Minv is singular, the oldest pairs are left out.
struct Lsr1Invert {
    Lsr1Batch problems;
    const double* needs_basis;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (status[b] != Status::ok || (needs_basis && needs_basis[b] != 0)) return;
        while (!p.solve_model()) {
            p.count() -= 1;
            p.outside() += p.c()[p.pairs()] * p.c()[p.pairs()];
        }
    }
};

/// A = B - gamma I in the basis Q, from X, unless `needs_basis`.
struct Lsr1Model {
    Lsr1Batch problems;
    const double* needs_basis;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (status[b] != Status::ok || (needs_basis && needs_basis[b] != 0)) return p.pad(0);
        p.form_model();
    }
};

/// Psi = L Q and A from the products, in three steps.
struct Lsr1Form {
    Lsr1Factor factor;
    Lsr1Invert invert;
    Lsr1Model model;

    CURVBLAS_DEVICE Index count() const { return factor.count(); }
    CURVBLAS_DEVICE void work(Index b) const { factor.work(b), invert.work(b), model.work(b); }
};

/// v of the step -U v + weight (g - Q^T Q g). `needs_basis` where rounding, multiplied by what pivots have lost and by
/// the share of what is outside of the span of Psi, would be felt.
struct Lsr1Solve {
    Lsr1Batch problems;
    Lsr1Limits limits;
    const double* radius;
    const Status* basis;
    double* needs_basis;
    Lsr1Reports reports;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (reports.status[b] == Status::ok && basis[b] != Status::ok) reports.status[b] = Status::no_convergence;
        if (reports.status[b] != Status::ok) return reports.set_failed(b, p, reports.status[b]);
        *p.weight = 0;
        if (needs_basis[b] != 0) return;
        const Index r = p.pairs(), count = p.spectrum();
        const double outside = p.a()[r], length = sqrt(p.P()[2 * p.m]);
        const TrustRegionAnswer answer = solve_trust_region(count, p.lambda(), p.a(), radius[b], count > r, p.v());
        const bool has_rest = count > r;
        double share = 1;
        if (has_rest) share = fmin((answer.largest + answer.multiplier) * answer.inverse, length / outside);
        needs_basis[b] = r == 0 || p.worst() * share * share <= limits.loss ? 0 : 1;  // not finite, too
        if (has_rest && answer.length != 0 && answer.lowest == r) needs_basis[b] = 1;
        if (needs_basis[b] != 0) return;
        if (has_rest && answer.inverse * 0 == 0) *p.weight = -answer.inverse;
        reports.set(b, p, answer, count, limits);
        p.v()[answer.lowest] += answer.length;
    }
};

/// The same as a combination of S, Y and g: their coefficients q, zeros where a basis is needed.
struct Lsr1Combine {
    Lsr1Batch problems;
    const double* needs_basis;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        const Index r = p.pairs();
        if (status[b] != Status::ok) return;
        CURVBLAS_ROLLED
        for (Index i = 0; i < 2 * p.m; ++i) p.q()[i] = 0;
        if (needs_basis[b] != 0) return;
        double* const z = p.d();
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            z[i] = *p.weight * p.c()[i];
            CURVBLAS_ROLLED
            for (Index j = 0; j < r; ++j) z[i] += p.U()[i * p.m + j] * p.v()[j];
        }
        solve_lower_transposed(p.L(), p.m, r, z);
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            const Index slot = p.slot(p.pair(i));
            p.q()[slot] = p.gamma() * z[i], p.q()[p.m + slot] = -z[i];
        }
    }
};

/// Coefficients q from eigenvalues and eigenvectors of A, in two steps.
struct Lsr1Finish {
    Lsr1Solve solve;
    Lsr1Combine combine;

    CURVBLAS_DEVICE Index count() const { return solve.count(); }
    CURVBLAS_DEVICE void work(Index b) const { solve.work(b), combine.work(b); }
};

/// All problems: on the CPU side by side in the lanes of vectors where all goes well (lsr1_lanes.isa.h); a device has a
/// kernel for each of the steps. `cost` is that of a problem, as for_each_element has it.
void lsr1_form(const Queue& queue, const Lsr1Form& task, double cost);
void lsr1_finish(const Queue& queue, const Lsr1Finish& task, double cost);

/// The first column of X = Minv^-1 Psi x, of those that do not need a basis. Where Minv is singular, the oldest pairs
/// are left out.
struct Lsr1InvertProduct {
    Lsr1Batch problems;
    const double* needs_basis;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (status[b] != Status::ok || needs_basis[b] != 0) return;
        while (!solve(p)) p.count() -= 1;
    }

  private:
    CURVBLAS_DEVICE static bool solve(const Lsr1Problem& p) {
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.pairs(); ++i) p.X()[i * p.m] = p.v()[i];
        return p.solve_inverse(1);
    }
};

/// B x = gamma x + X^T Psi: coefficients q of S and Y, and the weight of x, for those that do not need a basis.
struct Lsr1Multiply {
    Lsr1Batch problems;
    const double* needs_basis;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (status[b] != Status::ok) return refuse(p);
        *p.weight = p.gamma();
        CURVBLAS_ROLLED
        for (Index i = 0; i < 2 * p.m; ++i) p.q()[i] = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.pairs() && needs_basis[b] == 0; ++i) {
            const Index slot = p.slot(p.pair(i));
            p.q()[slot] = -p.gamma() * p.X()[i * p.m], p.q()[p.m + slot] = p.X()[i * p.m];
        }
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
