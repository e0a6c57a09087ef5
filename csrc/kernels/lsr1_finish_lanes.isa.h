// Lsr1Finish of models side by side; see lsr1_lanes.isa.h.
#pragma once

#include "cpu/trust_region_lanes.isa.h"
#include "kernels/lsr1_lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

/// Leaves models that are refused or want a basis, whose matrix is not felt, or whose step does not fit.
class SideFinish : SideModels {
  public:
    SideFinish(const Lsr1Finish& task, Index first, Index count)
        : SideModels(task.solve.problems, first, count), task_(task) {}

    /// A bit for each model that is done.
    unsigned run() {
        each([&](int l, Index b) { load(l, b); });
        const M is_done = solve();
        combine();
        return store_each([&](int l, Index b) {
            if (!is_ready(b) || !is_done[l]) return false;
            store(l, b);
            return true;
        });
    }

  private:
    bool is_ready(Index b) const {
        const Lsr1Solve& own = task_.solve;
        return own.reports.status[b] == Status::ok && own.basis[b] == Status::ok && own.needs_basis[b] == 0;
    }

    L& L_(Index i, Index j) { return factor_[i * m + j]; }
    L& U(Index i, Index j) { return vectors_[i * m + j]; }

    /// What may be NaN is left out.
    void load(int l, Index b) {
        const Lsr1Problem& model = p[l];
        const Index r = is_ready(b) ? model.pairs() : 0;
        for (Index i = 0; i < rows; ++i) {
            const bool is_used = i < r;
            for (Index j = 0; j <= i; ++j) L_(i, j).set(l, is_used ? model.L()[i * m + j] : i == j ? 1 : 0);
            for (Index j = 0; j < rows; ++j) U(i, j).set(l, is_used && j < r ? model.U()[i * m + j] : 0);
            c_[i].set(l, is_used ? model.c()[i] : 0);
            // What is not there is no lower than what is, and no larger.
            lambda_[i].set(l, r == 0 ? fabs(model.gamma()) : model.values[is_used ? i : 0] + model.gamma());
        }
    }

    /// v and weight of the step, where nothing speaks against it.
    M solve() {
        const L zero = L::all(0), one = L::all(1), n = L::all(static_cast<double>(p[0].n));
        const L used = take([](const Lsr1Problem& model, Index) { return model.count(); });
        const L gamma = take([](const Lsr1Problem& model, Index) { return model.gamma(); });
        const L worst = take([](const Lsr1Problem& model, Index) { return model.worst(); });
        const L square = take([](const Lsr1Problem& model, Index) { return model.P()[2 * model.m]; });
        const L radius = take([&](const Lsr1Problem&, Index b) { return task_.solve.radius[b]; });
        const M has_rest = used < n;
        const L outside = select(
            has_rest, square_root(larger(zero, take([](const Lsr1Problem& model, Index) { return model.outside(); }))),
            zero);
        for (Index j = 0; j < rows; ++j) {
            L sum = zero;
            for (Index i = 0; i < rows; ++i) sum = sum + U(i, j) * c_[i];
            a_[j] = sum;
        }
        a_[rows] = outside, lambda_[rows] = select(has_rest, gamma, rows > 0 ? lambda_[0] : gamma);
        const L count = used + select(has_rest, one, zero);
        answer_ = TrustRegionSolver<side_vectors>(rows + 1, lambda_, a_, v_).solve(count, radius, has_rest);

        const L growth = (answer_.largest + answer_.multiplier) * answer_.inverse;
        const L slant = square_root(square) / outside;
        const L share = select(has_rest, select(growth < slant, growth, slant), one);
        const M is_exact = (used == zero) | (worst * share * share <= L::all(task_.solve.limits.loss));
        const M goes_outside = has_rest & !(answer_.length == zero) & (answer_.lowest == L::all(double(rows)));
        weight_ = select(has_rest & (answer_.inverse * zero == zero), zero - answer_.inverse, zero);
        const M is_done = answer_.felt & is_exact & !goes_outside & fits(count, !has_rest, gamma);
        for (Index j = 0; j < rows; ++j) {
            const M is_lowest = answer_.lowest == L::all(static_cast<double>(j));
            v_[j] = v_[j] + select(is_lowest, answer_.length, zero);
        }
        return is_done;
    }

    /// Whether Lsr1Reports::set would take the step.
    M fits(const L& count, const M& is_whole, const L& gamma) const {
        const L zero = L::all(0), one = L::all(1);
        const Lsr1Limits& limits = task_.solve.limits;
        L largest = absolute(answer_.length);
        for (Index j = 0; j <= rows; ++j) largest = larger(largest, absolute(v_[j]));
        const M is_small = largest <= L::all(limits.most) / square_root(count + one);
        const M is_large = (largest == zero) | (L::all(limits.least) <= largest);
        const M is_drowned = is_whole & (L::all(1e-2) * answer_.largest < L::all(1e-14) * absolute(gamma));
        return is_small & is_large & !is_drowned & (answer_.reduction == answer_.reduction);
    }

    /// c becomes L_^-T (weight c + U v).
    void combine() {
        for (Index i = 0; i < rows; ++i) {
            L sum = weight_ * c_[i];
            for (Index j = 0; j < rows; ++j) sum = sum + U(i, j) * v_[j];
            c_[i] = sum;
        }
        for (Index i = rows - 1; i >= 0; --i) {
            const L done = c_[i] / L_(i, i);
            c_[i] = done;
            for (Index k = 0; k < i; ++k) c_[k] = c_[k] - L_(i, k) * done;
        }
    }

    void store(int l, Index b) {
        const Lsr1Problem& model = p[l];
        const Lsr1Reports& reports = task_.solve.reports;
        for (Index i = 0; i < 2 * m; ++i) model.q()[i] = 0;
        for (Index i = 0; i < model.pairs(); ++i) {
            const Index slot = model.slot(model.pair(i));
            const double z = c_[i][l];
            model.q()[slot] = model.gamma() * z, model.q()[m + slot] = -z;
        }
        *model.weight = weight_[l];
        reports.multiplier[b] = answer_.multiplier[l], reports.reduction[b] = answer_.reduction[l];
        reports.kind[b] = static_cast<std::int8_t>(answer_.kind[l]);
    }

    const Lsr1Finish& task_;
    TrustRegionLanes<side_vectors> answer_;
    L weight_;
    alignas(64) L factor_[most_side_pairs * most_side_pairs], vectors_[most_side_pairs * most_side_pairs];
    L c_[most_side_pairs], lambda_[most_side_pairs + 1], a_[most_side_pairs + 1], v_[most_side_pairs + 1];
};

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
