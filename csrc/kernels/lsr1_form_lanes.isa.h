// Lsr1Form of models side by side; see lsr1_lanes.isa.h.
#pragma once

#include "cpu/eliminate_lanes.isa.h"
#include "kernels/lsr1_lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

/// Leaves models whose pivots are lost, and those of a singular Minv.
class SideForm : SideModels {
  public:
    SideForm(const Lsr1Form& task, Index first, Index count)
        : SideModels(task.factor.problems, first, count), task_(task) {}

    /// A bit for each model that is done.
    unsigned run() {
        each([&](int l, Index) { load(l); });
        const L used = take([](const Lsr1Problem& model, Index) { return model.count(); });
        M is_done = factor();
        form_inverse();
        is_done = is_done & invert(used);
        form_model();
        pad(used);
        return store_each([&](int l, Index b) {
            if (task_.factor.status[b] != Status::ok || !is_done[l]) return false;
            store(l, b);
            return true;
        });
    }

  private:
    static constexpr double eps = 0x1p-52;

    L& L_(Index i, Index j) { return factor_[i * m + j]; }
    L& G(Index i, Index j) { return inverse_[i * m + j]; }
    L& X(Index i, Index j) { return right_[i * m + j]; }

    /// L_ is Psi Psi^T, G is Minv.
    void load(int l) {
        const Lsr1Problem& model = p[l];
        const Index r = model.pairs();
        for (Index a = 0; a < rows; ++a) {
            const bool is_used = a < r;
            const Index i = is_used ? model.pair(a) : 0;
            for (Index b = 0; b <= a; ++b) {
                const Index j = is_used ? model.pair(b) : 0;
                const double one = a == b ? 1 : 0;
                L_(a, b).set(l, is_used ? model.psi(i, j) : one);
                G(a, b).set(l, is_used ? model.curvature(i, j) - model.gamma() * model.ss(i, j) : one);
            }
            size_[a].set(l, is_used ? model.size(i) : 1);
            square_[a].set(l, is_used ? model.ss(i, i) : 1);
            c_[a].set(l, is_used ? model.psi_g(i) : 0);
        }
    }

    /// L_ L_^T = Psi Psi^T, c = Q g; where all pivots are good.
    M factor() {
        const L one = L::all(1);
        M is_good = one == one;
        worst_ = one, outside_ = take([](const Lsr1Problem& model, Index) { return model.P()[2 * model.m]; });
        for (Index k = 0; k < rows; ++k) {
            const L pivot = L_(k, k), own = size_[k];
            const L least =
                larger(L::all(1 / task_.factor.most_loss), L::all(16 * eps * static_cast<double>(k)) * worst_);
            is_good = is_good & (pivot > least * own);
            worst_ = larger(worst_, own / pivot);
            const L root = square_root(pivot), inverse = one / root, done = c_[k] * inverse;
            L_(k, k) = root, c_[k] = done, outside_ = outside_ - done * done;
            for (Index i = k + 1; i < rows; ++i) {
                const L below = L_(i, k) * inverse;
                L_(i, k) = below, c_[i] = c_[i] - below * done;
                for (Index j = k + 1; j <= i; ++j) L_(i, j) = L_(i, j) - below * L_(j, k);
            }
        }
        return is_good;
    }

    /// G = D Minv D and X = D L_, with the D of form_scales.
    void form_inverse() {
        const L zero = L::all(0), one = L::all(1);
        for (Index i = 0; i < rows; ++i) {
            L square = zero;
            for (Index j = 0; j <= i; ++j) square = square + L_(i, j) * L_(i, j);
            const L scale = one / square_root(square_root(square_[i]) * square_root(square));
            d_[i] = scale;
            for (Index j = 0; j <= i; ++j) {
                G(j, i) = G(i, j) = scale * G(i, j) * d_[j];
                X(i, j) = scale * L_(i, j);
            }
            for (Index j = i + 1; j < rows; ++j) X(i, j) = zero;
        }
    }

    /// X = Minv^-1 L_, where Minv is not singular.
    M invert(const L& used) {
        const L ratio = eliminate(inverse_, m, rows, used, right_, rows);
        for (Index i = 0; i < rows; ++i)
            for (Index j = 0; j < rows; ++j) X(i, j) = X(i, j) * d_[i];
        return ratio > L::all(16 * eps);
    }

    /// G = L_^T X, which is B - gamma I in the basis Q.
    void form_model() {
        const L half = L::all(0.5);
        for (Index i = 0; i < rows; ++i) {
            for (Index j = 0; j < rows; ++j) G(i, j) = L_(i, i) * X(i, j);
            for (Index k = i + 1; k < rows; ++k)
                for (Index j = 0; j < rows; ++j) G(i, j) = G(i, j) + L_(k, i) * X(k, j);
            for (Index j = 0; j < i; ++j) G(i, j) = G(j, i) = (G(i, j) + G(j, i)) * half;
        }
    }

    /// What pad of lsr1.h puts on the diagonal behind the rows in use.
    void pad(const L& used) {
        const L zero = L::all(0), one = L::all(1);
        L bound = zero;
        for (Index i = 0; i < rows; ++i) {
            const M is_used = L::all(static_cast<double>(i)) < used;
            L sum = zero;
            for (Index j = 0; j < rows; ++j) sum = sum + absolute(G(i, j));
            bound = larger(bound, select(is_used, sum, zero));
        }
        beyond_ = select(bound > zero, bound + bound, one);
    }

    void store(int l, Index b) {
        const Lsr1Problem& model = p[l];
        const Index r = model.pairs();
        for (Index i = 0; i < r; ++i) {
            for (Index j = 0; j <= i; ++j) model.L()[i * m + j] = L_(i, j)[l];
            for (Index j = 0; j < r; ++j) model.A()[i * m + j] = G(i, j)[l];
            for (Index j = r; j < m; ++j) model.A()[i * m + j] = 0;
            model.c()[i] = c_[i][l];
        }
        for (Index i = r; i < m; ++i)
            for (Index j = 0; j < m; ++j) model.A()[i * m + j] = i == j ? beyond_[l] : 0;
        model.worst() = worst_[l], model.outside() = outside_[l];
        task_.factor.needs_basis[b] = 0;
    }

    const Lsr1Form& task_;
    alignas(64) L factor_[most_side_pairs * most_side_pairs], inverse_[most_side_pairs * most_side_pairs];
    L right_[most_side_pairs * most_side_pairs];
    L size_[most_side_pairs], square_[most_side_pairs], d_[most_side_pairs], c_[most_side_pairs];
    L worst_, outside_, beyond_;
};

}  // namespace
}  // namespace curvblas::cpu::CURVBLAS_ISA
