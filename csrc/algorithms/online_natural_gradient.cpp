#include "algorithms/online_natural_gradient.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "algorithms/workspace.h"
#include "kernels/eigenbasis.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/multiply.h"
#include "kernels/online_natural_gradient.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// Some sides of a call, all of them step by step.
template <class T>
class Sides {
  public:
    using Side = OnlineNaturalGradient<T>;

    Sides(const Queue& queue, const std::vector<Side>& sides)
        : queue_(queue),
          sides_(sides),
          rows_(queue, count([](const Side& of) { return of.X.rows * rank_of(of); })),
          numbers_(queue, count([](const Side& of) {
                       const Index rank = rank_of(of);
                       return (7 * rank + 1) * rank + 2 * ong_chunks(of.X.rows, of.X.columns);
                   })),
          found_(queue.template scratch<OngNumbers>(static_cast<Index>(sides.size()))),
          basis_status_(queue.template scratch<Status>(static_cast<Index>(sides.size()))) {
        for (std::size_t s = 0; s < sides_.size(); ++s) {
            const Side& of = sides_[s];
            const Index rank = rank_of(of), N = of.X.rows, D = of.X.columns;
            const auto square = [&] { return numbers_.take(rank, rank); };
            const OngSide side{N,        D,    rank,   of.alpha,         of.eta,   of.epsilon,
                               of.delta, of.d, of.rho, found_.get() + s, of.status};
            work_.push_back({side, rows_.take(N, rank), square(), square(), square(), square(), square(),
                             numbers_.take(rank, 2 * rank), numbers_.take(1, rank),
                             numbers_.take(ong_chunks(N, D), 2)});
        }
    }

    void start() {
        std::vector<OngStart<T>> starts;
        for (std::size_t s = 0; s < sides_.size(); ++s) starts.push_back({work_[s].side, W(s)});
        for_each_element<OngStart<T>>(queue_, starts, ong_cost);
    }

    /// H = X W^T, X_hat = X - H W, and what that says about X.
    void project() {
        std::vector<Product<T>> to_rank, back;
        std::vector<OngSubtract<T>> differences;
        std::vector<OngJudge> judges;
        for (std::size_t s = 0; s < sides_.size(); ++s) {
            const Side& of = sides_[s];
            const Work& w = work_[s];
            to_rank.push_back({as_stack(of.X), as_stack(transposed(read_only(W(s)))), as_stack(w.H)});
            back.push_back({as_stack(read_only(w.H)), as_stack(read_only(W(s))), as_stack(of.X_hat)});
            differences.push_back({of.X, of.X_hat, w.sums.data});
            judges.push_back({w.side, w.sums.data, w.sums.rows});
        }
        multiply<T>(queue_, to_rank);
        multiply<T>(queue_, back);
        ong_subtract<T>(queue_, differences);
        for_each_element<OngJudge>(queue_, judges, ong_cost);
    }

    /// X_hat with the norm of X.
    void restore_norm() {
        std::vector<OngScale<T>> scales;
        for (std::size_t s = 0; s < sides_.size(); ++s) scales.push_back({sides_[s].X_hat, &found_[s].gain});
        ong_scale<T>(queue_, scales);
    }

    /// The states, from these projections.
    void update() {
        form();
        std::vector<Eigenbasis<double>> bases;
        std::vector<OngUpdate> updates;
        std::vector<LowRankApply<T>> rotations;
        for (const std::size_t s : updated()) {
            const Work& w = work_[s];
            const Status* const basis = &basis_status_[s];
            bases.push_back(
                {as_stack(read_only(w.Z)), {}, w.c.data, as_stack(w.U), {&basis_status_[s], &found_[s].residual}});
            updates.push_back({w.side, w.c.data, read_only(w.U), basis, w.Q});
            rotations.push_back({as_stack(read_only(w.Q)),
                                 as_stack(read_only(sides_[s].rows)),
                                 {},
                                 nullptr,
                                 as_stack(W(s)),
                                 &found_[s].is_wanted});
        }
        eigenbasis<double>(queue_, bases);
        for_each_element<OngUpdate>(queue_, updates, ong_cost);
        low_rank_apply<T>(queue_, rotations);
        orthogonalise();
    }

  private:
    /// Numbers of rank; of them Z, U and the weights Q of the rows W and J; L and K, which G and C take the place of.
    struct Work {
        OngSide side;
        Matrix<T> H;
        Matrix<double> K, L, Z, U, C, Q, c, sums;
    };

    static Index rank_of(const Side& side) { return side.rows.rows / 2; }
    template <class Words>
    Index count(const Words& words) const {
        Index sum = 0;
        for (const Side& side : sides_) sum += words(side);
        return sum;
    }
    std::vector<std::size_t> updated() const {
        std::vector<std::size_t> result;
        for (std::size_t s = 0; s < sides_.size(); ++s)
            if (sides_[s].updates && rank_of(sides_[s]) > 0) result.push_back(s);
        return result;
    }
    Matrix<T> half(std::size_t s, Index first) const {
        const Matrix<T>& rows = sides_[s].rows;
        return {rows.row(first), rank_of(sides_[s]), rows.columns, rows.row_stride, rows.column_stride};
    }
    Matrix<T> W(std::size_t s) const { return half(s, 0); }
    Matrix<T> J(std::size_t s) const { return half(s, rank_of(sides_[s])); }

    /// J = H^T X with H in the unit of OngNumbers, and Z.
    void form() {
        std::vector<OngScale<T>> scales;
        std::vector<Product<T>> products;
        std::vector<Gram<T>> squares;
        std::vector<OngForm> forms;
        for (const std::size_t s : updated()) {
            const Work& w = work_[s];
            scales.push_back({w.H, &found_[s].unit});
            products.push_back({as_stack(transposed(read_only(w.H))), as_stack(sides_[s].X), as_stack(J(s))});
            squares.push_back({as_stack(transposed(read_only(w.H))), {}, as_stack(w.L), {}});
            squares.push_back({as_stack(read_only(J(s))), {}, as_stack(w.K), {}});
            forms.push_back({w.side, read_only(w.K), read_only(w.L), w.Z});
        }
        ong_scale<T>(queue_, scales);
        multiply<T>(queue_, products);
        gram<T>(queue_, squares);
        for_each_element<OngForm>(queue_, forms, ong_cost);
    }

    void orthogonalise() {
        std::vector<Gram<T>> squares;
        std::vector<OngOrthogonalise<T>> systems;
        std::vector<LowRankApply<T>> rotations;
        for (const std::size_t s : updated()) {
            const Work& w = work_[s];
            squares.push_back({as_stack(read_only(W(s))), {}, as_stack(w.K), {}});
            systems.push_back({w.side, w.K, w.C, W(s)});
            rotations.push_back({as_stack(read_only(w.C)),
                                 as_stack(read_only(W(s))),
                                 {},
                                 nullptr,
                                 as_stack(W(s)),
                                 &found_[s].is_skewed});
        }
        gram<T>(queue_, squares);
        for_each_element<OngOrthogonalise<T>>(queue_, systems, ong_cost);
        low_rank_apply<T>(queue_, rotations);
    }

    const Queue& queue_;
    const std::vector<Side>& sides_;
    Workspace<T> rows_;
    Workspace<double> numbers_;
    decltype(std::declval<Queue>().template scratch<OngNumbers>(0)) found_;
    decltype(std::declval<Queue>().template scratch<Status>(0)) basis_status_;
    std::vector<Work> work_;
};

}  // namespace

template <class T>
void online_natural_gradient(const Queue& queue, std::span<const OnlineNaturalGradient<T>> group) {
    Index passes = 0;
    for (const auto& side : group) passes = std::max(passes, side.passes);
    for (Index pass = 0; pass < passes; ++pass) {
        std::vector<OnlineNaturalGradient<T>> started;
        for (const auto& side : group)
            if (pass < side.passes) started.push_back(side), started.back().updates = true;
        Sides<T> sides(queue, started);
        if (pass == 0) sides.start();
        sides.project();
        sides.update();
    }
    const std::vector<OnlineNaturalGradient<T>> all(group.begin(), group.end());
    Sides<T> sides(queue, all);
    sides.project();
    sides.restore_norm();
    sides.update();
}

template void online_natural_gradient(const Queue&, std::span<const OnlineNaturalGradient<float>>);
template void online_natural_gradient(const Queue&, std::span<const OnlineNaturalGradient<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
