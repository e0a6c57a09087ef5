#include "algorithms/lsr1.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "algorithms/workspace.h"
#include "kernels/compact_model.h"
#include "kernels/eigenbasis.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/lsr1_basis.h"
#include "kernels/lsr1_gamma.h"
#include "kernels/on_host.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

template <class T>
Stack<T> as_rows(T* data, Index columns) {
    return contiguous_stack(data, 1, columns, 1);
}

/// Some neighbouring models, and a vector for each. With M_inv, Y is Psi and S has no data.
template <class T>
class Lsr1 {
  public:
    Lsr1(const Queue& queue, const PairModels<T>& models, const Stack<const T>& g, const Stack<const T>& M_inv = {})
        : queue_(queue),
          models_(models),
          g_(g),
          M_inv_(M_inv),
          m_(models.S.rows),
          batch_(g.batch),
          numbers_(queue, batch_ * (Lsr1Problem::words(m_) + m_ + 3 + 4 * m_ * m_)),
          basis_(queue.template scratch<Status>(batch_)) {
        double* const base = numbers_.take(batch_ * Lsr1Problem::words(m_));  // first, where memory is aligned
        double *const K = numbers_.take(batch_ * 4 * m_ * m_), *const values = numbers_.take(batch_ * m_);
        double* const weight = numbers_.take(batch_);
        needs_basis_ = numbers_.take(batch_), residual_ = numbers_.take(batch_);
        problems_ = {m_, g.columns, batch_, Lsr1Problem::words(m_), models.ring, K, values, weight, base};
    }

    void step(const Lsr1Step<T>& out) {
        begin(out.radius, out.reports.status);
        Status* const status = out.reports.status;
        const Lsr1Factor factor{problems_, limits.loss, needs_basis_, status};
        if (is_given()) {
            run(factor);
            run(given_model(problems_, 0, needs_basis_, status));
        } else {
            lsr1_form(queue_, {factor, {problems_, needs_basis_, status}, {problems_, needs_basis_, status}},
                      element_cost());
        }
        decompose();
        const Lsr1Solve solve{problems_, limits, out.radius, basis_.get(), needs_basis_, out.reports};
        lsr1_finish(queue_, {solve, {problems_, needs_basis_, status}}, element_cost());
        combine(out.step);
        in_basis(status, [&](InBasis& delicate) { delicate.step(out); });
    }

    void multiply(const Lsr1Matvec<T>& out) {
        begin(nullptr, out.status, out.known, out.stride);
        run(Lsr1Factor{problems_, limits.loss, needs_basis_, out.status});
        run(Lsr1InvertProduct{problems_, needs_basis_, out.status});
        run(Lsr1Multiply{problems_, needs_basis_, out.status});
        combine(out.P);
        in_basis(out.status, [&](InBasis& delicate) { delicate.multiply(out.P); });
    }

  private:
    static constexpr Lsr1Limits limits{sizeof(T) == sizeof(double) ? 0x1p8 : 0x1p22,
                                       static_cast<double>(std::numeric_limits<T>::min()) * 0x1p10,
                                       static_cast<double>(std::numeric_limits<T>::max())};
    static constexpr double rounding = 32 * static_cast<double>(std::numeric_limits<T>::epsilon());

    template <class Task>
    void run(const Task& task) const {
        for_each_element<Task>(queue_, std::span(&task, 1), element_cost());
    }
    double element_cost() const {
        const auto m = static_cast<double>(m_);
        return 200 + 20 * m * m + 6 * m * m * m;
    }
    Stack<double> products(Index i, Index j) const {
        return {problems_.K + i * 2 * m_ + j, m_, m_, 2 * m_, 1, batch_, 4 * m_ * m_};
    }
    /// `rows` x `columns` numbers of each problem from where those of the first begin.
    Stack<double> numbers(double* first, Index rows, Index columns) const {
        return {first, rows, columns, columns, 1, batch_, Lsr1Problem::words(m_)};
    }

    void begin(const double* radius, Status* status, const double* known = nullptr, Index stride = 0) {
        if (!known) form_products();
        if (is_given()) run(CompactClear{problems_});
        run(Lsr1Begin<T>{problems_, models_.K, known, stride, models_.mask, models_.initial, radius, status});
        if (models_.initial || m_ == 0) return;
        run(Lsr1Curvature{problems_});
        run(Lsr1CurvatureAgain{problems_});
        decompose();
        run(Lsr1Gamma{problems_, basis_.get(), status});
    }

    bool is_given() const { return M_inv_.data; }
    /// Of some problems, from problem `first` of all on.
    CompactModel<T> given_model(const Lsr1Batch& some, Index first, const double* needs_basis, Status* status) const {
        const Index count = some.batch;
        return {some, some_of(M_inv_, first, count), some_of(models_.mask, first, count), needs_basis, status};
    }

    /// P() and, unless they are given, K.
    void form_products() const {
        std::vector<Gram<T>> tasks;
        double* const P = problems_.at(0).P();
        const Stack<double> Sg = numbers(P, m_, 1), Yg = numbers(P + m_, m_, 1), gg = numbers(P + 2 * m_, 1, 1);
        const Stack<const T>&S = models_.S, &Y = models_.Y;
        if (!models_.K && !is_given() && m_ > 0) append_exact<T>(tasks, {S, Y, products(0, 0), products(0, m_)});
        if (m_ > 0) append_exact<T>(tasks, {Y, g_, models_.K ? Stack<double>{} : products(m_, m_), Yg});
        if (!is_given() && m_ > 0) append_exact<T>(tasks, {S, g_, {}, Sg});
        tasks.push_back({g_, {}, gg, {}});
        gram<T>(queue_, tasks);
    }

    /// A = U diag(values) U^T of some problems, from problem `first` of all on.
    Eigenbasis<double> eigenproblem(const Lsr1Batch& some, Index first) const {
        const Lsr1Problem p = some.at(0);
        const auto square = [&](double* data) {
            return Stack<double>{data, m_, m_, m_, 1, some.batch, Lsr1Problem::words(m_)};
        };
        return {read_only(square(p.A())), {}, p.values, square(p.U()), {basis_.get() + first, residual_ + first}};
    }
    void decompose() {
        const Eigenbasis<double> all = eigenproblem(problems_, 0);
        eigenbasis<double>(queue_, std::span(&all, 1));
    }

    /// P = q (S; Y) + weight g.
    void combine(const Stack<T>& P) {
        double* const q = problems_.at(0).q();
        LowRankApply<T> task{read_only(numbers(q + m_, 1, m_)), models_.Y, g_, problems_.weight, P};
        if (!is_given()) task.Q_2 = read_only(numbers(q, 1, m_)), task.R_2 = models_.S;
        low_rank_apply<T>(queue_, std::span(&task, 1));
    }

    /// The models that want an orthonormal basis, made ready for `work`.
    template <class Work>
    void in_basis(Status* status, const Work& work) {
        const std::vector<double> needed = on_host(queue_, needs_basis_, batch_);
        std::vector<Index> delicate;
        for (Index b = 0; b < batch_; ++b)
            if (needed[static_cast<std::size_t>(b)] != 0) delicate.push_back(b);
        if (delicate.empty()) return;
        InBasis basis(*this, status, delicate);
        work(basis);
    }

    class InBasis {
      public:
        InBasis(const Lsr1& all, Status* status, const std::vector<Index>& models)
            : all_(all),
              status_(status),
              rows_(all.queue_, static_cast<Index>(models.size()) * (all.m_ + 1) * all.g_.columns) {
            for (const Index b : models) {
                const Lsr1Batch problem = all.problems_.only(b);
                works_.push_back(
                    {b, problem, problem.at(0), rows_.take(all.m_, all.g_.columns), rows_.take(1, all.g_.columns)});
            }
            each<Lsr1Psi<T>>(
                [&](const Work& w) { return Lsr1Psi<T>{w.problem, all_.models_.S[w.b], all_.models_.Y[w.b], w.Q}; });
            for (Index row = 0; row < all.m_; ++row) orthogonalise(row);
            all.is_given() ? form_given() : form();
            multiply([&](const Work& w) { return Gram<T>{basis(w), g(w), {}, column(w.p.c())}; });
        }

        void step(const Lsr1Step<T>& out) {
            each<Lsr1Project>([&](const Work& w) { return Lsr1Project{w.problem}; });
            combine([&](const Work& w) { return combination(w, basis(w), g(w), as_stack(w.outside)); });
            multiply([&](const Work& w) { return Gram<T>{basis(w), outside(w), {}, column(w.p.P())}; });
            square_outside();
            each<Lsr1ProjectAgain>([&](const Work& w) { return Lsr1ProjectAgain{w.problem}; });
            solve(out);
            combine([&](const Work& w) { return combination(w, basis(w), outside(w), as_stack(out.step[w.b])); });
            each<Lsr1AddUnit<T>>([&](const Work& w) { return Lsr1AddUnit<T>{w.problem, out.step[w.b]}; });
        }

        void multiply(const Stack<T>& P) {
            each<Lsr1Project>([&](const Work& w) { return Lsr1Project{w.problem}; });
            each<Lsr1MultiplyInBasis>([&](const Work& w) { return Lsr1MultiplyInBasis{w.problem, status_ + w.b}; });
            combine([&](const Work& w) { return combination(w, basis(w), g(w), as_stack(P[w.b])); });
        }

      private:
        struct Work {
            Index b;
            Lsr1Batch problem;
            Lsr1Problem p;
            Matrix<T> Q, outside;  // Psi at first; what of a row, and later of g, is outside of the span of Q
        };

        template <class Task, class Make>
        void each(const Make& make) const {
            std::vector<Task> tasks;
            for (const Work& w : works_) tasks.push_back(make(w));
            for_each_element<Task>(all_.queue_, tasks, all_.element_cost());
        }
        template <class Make>
        void combine(const Make& make) const {
            std::vector<LowRankApply<T>> tasks;
            for (const Work& w : works_) tasks.push_back(make(w));
            low_rank_apply<T>(all_.queue_, tasks);
        }
        template <class Make>
        void multiply(const Make& make) const {
            std::vector<Gram<T>> tasks;
            for (const Work& w : works_) append_exact<T>(tasks, make(w));
            gram<T>(all_.queue_, tasks);
        }
        void square_outside() const {
            multiply([&](const Work& w) { return Gram<T>{outside(w), {}, as_rows(&w.p.outside(), 1), {}}; });
        }

        /// Rows [first, first + count) of Q.
        Stack<T> rows(const Work& w, Index first, Index count) const {
            Matrix<T> some = w.Q;
            some.data += first * some.row_stride, some.rows = count;
            return as_stack(some);
        }
        Stack<const T> basis(const Work& w) const { return as_stack(read_only(w.Q)); }
        Stack<const T> outside(const Work& w) const { return as_stack(read_only(w.outside)); }
        Stack<const T> g(const Work& w) const { return as_stack(all_.g_[w.b]); }
        Stack<double> column(double* data) const { return contiguous_stack(data, all_.m_, 1, 1); }
        Stack<double> square(double* data) const { return contiguous_stack(data, all_.m_, all_.m_, 1); }
        /// P = q R + weight G.
        LowRankApply<T> combination(const Work& w, const Stack<const T>& R, const Stack<const T>& G,
                                    const Stack<T>& P) const {
            return {read_only(as_rows(w.p.q(), R.rows)), R, G, w.p.weight, P};
        }

        /// Row `row` of Psi becomes that of Q: projected twice, so that nothing is lost but in comparison with itself.
        void orthogonalise(Index row) const {
            const auto before = [&](const Work& w) { return read_only(rows(w, 0, row)); };
            const auto own = [&](const Work& w) { return rows(w, row, 1); };
            multiply([&](const Work& w) {
                const Stack<double> products = contiguous_stack(w.p.c(), row + 1, 1, 1);
                return Gram<T>{read_only(rows(w, 0, row + 1)), read_only(own(w)), {}, products};
            });
            each<Lsr1Reduce>([&](const Work& w) { return Lsr1Reduce{w.problem, row}; });
            combine([&](const Work& w) { return combination(w, before(w), read_only(own(w)), as_stack(w.outside)); });
            if (row > 0)
                multiply([&](const Work& w) {
                    return Gram<T>{before(w), outside(w), {}, contiguous_stack(w.p.d(), row, 1, 1)};
                });
            square_outside();
            each<Lsr1Normalise>([&](const Work& w) { return Lsr1Normalise{w.problem, row, rounding}; });
            combine([&](const Work& w) { return combination(w, before(w), outside(w), own(w)); });
        }

        /// A, and what of Q is in use.
        void form() const {
            each<Lsr1Compress>([&](const Work& w) { return Lsr1Compress{w.problem, status_ + w.b}; });
            each<Lsr1Invert>([&](const Work& w) { return Lsr1Invert{w.problem, nullptr, status_ + w.b}; });
            each<Lsr1Model>([&](const Work& w) { return Lsr1Model{w.problem, nullptr, status_ + w.b}; });
        }
        void form_given() const {
            each<CompactModel<T>>(
                [&](const Work& w) { return all_.given_model(w.problem, w.b, nullptr, status_ + w.b); });
        }

        void solve(const Lsr1Step<T>& out) const {
            std::vector<Eigenbasis<double>> bases;
            for (const Work& w : works_) bases.push_back(all_.eigenproblem(w.problem, w.b));
            eigenbasis<double>(all_.queue_, bases);
            each<Lsr1SolveInBasis>([&](const Work& w) {
                return Lsr1SolveInBasis{w.problem, limits, out.radius + w.b, all_.basis_.get() + w.b,
                                        out.reports.from(w.b)};
            });
            each<Lsr1CombineInBasis>([&](const Work& w) { return Lsr1CombineInBasis{w.problem, status_ + w.b}; });
            each<Lsr1ChooseUnit<T>>(
                [&](const Work& w) { return Lsr1ChooseUnit<T>{w.problem, read_only(w.Q), status_ + w.b}; });
        }

        const Lsr1& all_;
        Status* const status_;
        Workspace<T> rows_;
        std::vector<Work> works_;
    };

    const Queue& queue_;
    const PairModels<T> models_;
    const Stack<const T> g_, M_inv_;
    const Index m_, batch_;
    Workspace<double> numbers_;
    decltype(std::declval<Queue>().template scratch<Status>(0)) basis_;
    double *needs_basis_, *residual_;
    Lsr1Batch problems_;
};

}  // namespace

template <class T>
void lsr1_step(const Queue& queue, const Lsr1Step<T>& step) {
    in_pieces(queue, step.models, Lsr1Problem::words(step.models.S.rows), [&](Index first, Index count) {
        Lsr1Step<T> own{some_of(step.models, first, count), some_of(step.g, first, count), step.radius + first,
                        some_of(step.step, first, count), step.reports.from(first)};
        Lsr1<T>(queue, own.models, own.g).step(own);
    });
}

template <class T>
void compact_step(const Queue& queue, const CompactStep<T>& step) {
    PairModels<T> models{step.Psi, step.Psi, step.mask, nullptr, nullptr, step.gamma};
    models.S.data = nullptr, models.S.batch_stride = 0;  // null for each of them
    in_pieces(queue, models, Lsr1Problem::words(models.S.rows), [&](Index first, Index count) {
        Lsr1Step<T> own{some_of(models, first, count), some_of(step.g, first, count), step.radius + first,
                        some_of(step.step, first, count), step.reports.from(first)};
        Lsr1<T>(queue, own.models, own.g, some_of(step.M_inv, first, count)).step(own);
    });
}

template <class T>
void lsr1_matvec(const Queue& queue, const Lsr1Matvec<T>& product) {
    in_pieces(queue, product.models, Lsr1Problem::words(product.models.S.rows), [&](Index first, Index count) {
        Lsr1Matvec<T> own{some_of(product.models, first, count),
                          some_of(product.x, first, count),
                          some_of(product.P, first, count),
                          product.status + first,
                          product.known ? product.known + first * product.stride : nullptr,
                          product.stride};
        Lsr1<T>(queue, own.models, own.x).multiply(own);
    });
}

template void lsr1_step(const Queue&, const Lsr1Step<float>&);
template void lsr1_step(const Queue&, const Lsr1Step<double>&);
template void compact_step(const Queue&, const CompactStep<float>&);
template void compact_step(const Queue&, const CompactStep<double>&);
template void lsr1_matvec(const Queue&, const Lsr1Matvec<float>&);
template void lsr1_matvec(const Queue&, const Lsr1Matvec<double>&);

}  // namespace curvblas::CURVBLAS_BACKEND
