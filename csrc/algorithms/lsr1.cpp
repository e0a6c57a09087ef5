#include "algorithms/lsr1.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "algorithms/workspace.h"
#include "kernels/eigenbasis.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/lsr1_basis.h"
#include "kernels/on_host.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

template <class T>
Stack<T> as_rows(T* data, Index columns) {
    return contiguous_stack(data, 1, columns, 1);
}

/// Some neighbouring models, and a vector for each.
template <class T>
class Lsr1 {
  public:
    Lsr1(const Queue& queue, const PairModels<T>& models, const Stack<const T>& g)
        : queue_(queue),
          models_(models),
          g_(g),
          m_(models.S.rows),
          batch_(g.batch),
          numbers_(queue, batch_ * (Lsr1Problem::words(m_) + m_ + 3 + 4 * m_ * m_)),
          basis_(queue.template scratch<Status>(batch_)),
          needs_basis_(numbers_.take(batch_)),
          residual_(numbers_.take(batch_)) {
        double *const K = numbers_.take(batch_ * 4 * m_ * m_), *const values = numbers_.take(batch_ * m_);
        double* const weight = numbers_.take(batch_);
        problems_ = {m_, g.columns, batch_, models.ring,
                     K,  values,    weight, numbers_.take(batch_ * Lsr1Problem::words(m_))};
    }

    void step(const Lsr1Step<T>& out) {
        begin(out.radius, out.reports.status);
        run(Lsr1Factor{problems_, most_loss, needs_basis_});
        run(Lsr1Model{problems_, needs_basis_, out.reports.status});
        decompose();
        run(Lsr1Solve{problems_, most_loss, most, out.radius, basis_.get(), needs_basis_, out.reports});
        run(Lsr1Combine{problems_, needs_basis_, out.reports.status});
        combine(out.step);
        solve_in_basis(out);
    }

    void multiply(const Lsr1Matvec<T>& out) {
        begin(nullptr, out.status, out.known, out.stride);
        run(Lsr1Multiply{problems_, 1.1368683772161603e-13, out.status});
        combine(out.P);
    }

  private:
    static constexpr double most = std::numeric_limits<T>::max();
    static constexpr double most_loss = sizeof(T) == sizeof(double) ? 0x1p8 : 0x1p29;
    static constexpr double least = sizeof(T) == sizeof(double) ? 0x1p-43 : 0x1p-38;

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
        run(Lsr1Begin<T>{problems_, models_.K, known, stride, models_.mask, models_.initial, radius, status});
        if (models_.initial || m_ == 0) return;
        run(Lsr1Curvature{problems_});
        decompose();
        run(Lsr1Gamma{problems_, basis_.get()});
    }

    /// P() and, unless they are given, K.
    void form_products() const {
        std::vector<Gram<T>> tasks;
        double* const P = problems_.at(0).P();
        const Stack<double> Sg = numbers(P, m_, 1), Yg = numbers(P + m_, m_, 1), gg = numbers(P + 2 * m_, 1, 1);
        const Stack<const T>&S = models_.S, &Y = models_.Y;
        if (!models_.K && m_ > 0) append_exact<T>(tasks, {S, Y, products(0, 0), products(0, m_)});
        if (m_ > 0) append_exact<T>(tasks, {Y, g_, models_.K ? Stack<double>{} : products(m_, m_), Yg});
        if (m_ > 0) append_exact<T>(tasks, {S, g_, {}, Sg});
        tasks.push_back({g_, {}, gg, {}});
        gram<T>(queue_, tasks);
    }

    void decompose() {
        const Lsr1Problem p = problems_.at(0);
        const Eigenbasis<double> basis{
            read_only(numbers(p.A(), m_, m_)), {}, problems_.values, numbers(p.U(), m_, m_), {basis_.get(), residual_}};
        eigenbasis<double>(queue_, std::span(&basis, 1));
    }

    /// P = q (S; Y) + weight g.
    void combine(const Stack<T>& P) {
        double* const q = problems_.at(0).q();
        LowRankApply<T> task{read_only(numbers(q, 1, m_)), models_.S, g_, problems_.weight, P};
        task.Q_2 = read_only(numbers(q + m_, 1, m_)), task.R_2 = models_.Y;
        low_rank_apply<T>(queue_, std::span(&task, 1));
    }

    void solve_in_basis(const Lsr1Step<T>& out) {
        const std::vector<double> needed = on_host(queue_, needs_basis_, batch_);
        std::vector<Index> delicate;
        for (Index b = 0; b < batch_; ++b)
            if (needed[static_cast<std::size_t>(b)] != 0) delicate.push_back(b);
        if (!delicate.empty()) InBasis(*this, out, delicate).run();
    }

    /// The models that want an orthonormal basis.
    class InBasis {
      public:
        InBasis(const Lsr1& all, const Lsr1Step<T>& out, const std::vector<Index>& models)
            : all_(all),
              out_(out),
              rows_(all.queue_, static_cast<Index>(models.size()) * (all.m_ + 1) * all.g_.columns) {
            for (const Index b : models) {
                const Lsr1Batch problem = all.problems_.only(b);
                works_.push_back(
                    {b, problem, problem.at(0), rows_.take(all.m_, all.g_.columns), rows_.take(1, all.g_.columns)});
            }
        }

        void run() {
            each<Lsr1Psi<T>>(
                [&](const Work& w) { return Lsr1Psi<T>{w.problem, all_.models_.S[w.b], all_.models_.Y[w.b], w.Psi}; });
            multiply_basis();
            each<Lsr1Orthogonalise>([&](const Work& w) { return Lsr1Orthogonalise{w.problem, least}; });
            apply([&](const Work& w) {
                return LowRankApply<T>{read_only(square(w.p.U())), rows(w), {}, nullptr, as_stack(w.Psi)};
            });
            multiply_basis();
            each<Lsr1Reorthogonalise>([&](const Work& w) { return Lsr1Reorthogonalise{w.problem, status(w)}; });
            each<Lsr1Model>([&](const Work& w) { return Lsr1Model{w.problem, nullptr, status(w)}; });
            apply([&](const Work& w) { return combination(w, as_stack(all_.g_[w.b]), as_stack(w.outside)); });
            project();
            solve();
            apply([&](const Work& w) {
                return combination(w, as_stack(read_only(w.outside)), as_stack(out_.step[w.b]));
            });
            each<Lsr1AddUnit<T>>([&](const Work& w) { return Lsr1AddUnit<T>{w.problem, out_.step[w.b]}; });
        }

      private:
        struct Work {
            Index b;
            Lsr1Batch problem;
            Lsr1Problem p;
            Matrix<T> Psi, outside;  // Psi, later Q_1; and what of g is outside of their span
        };

        template <class Task, class Make>
        void each(const Make& make) const {
            std::vector<Task> tasks;
            for (const Work& w : works_) tasks.push_back(make(w));
            for_each_element<Task>(all_.queue_, tasks, all_.element_cost());
        }
        template <class Make>
        void apply(const Make& make) const {
            std::vector<LowRankApply<T>> tasks;
            for (const Work& w : works_) tasks.push_back(make(w));
            low_rank_apply<T>(all_.queue_, tasks);
        }
        Stack<double> square(double* data) const { return contiguous_stack(data, all_.m_, all_.m_, 1); }
        Stack<const T> rows(const Work& w) const { return as_stack(read_only(w.Psi)); }
        Status* status(const Work& w) const { return out_.reports.status + w.b; }
        /// P = q Q_1 + weight G.
        LowRankApply<T> combination(const Work& w, const Stack<const T>& G, const Stack<T>& P) const {
            return {read_only(as_rows(w.p.q(), all_.m_)), rows(w), G, w.p.weight, P};
        }

        /// Products of the rows of Psi, or Q_1, with each other and with g.
        void multiply_basis() const {
            std::vector<Gram<T>> tasks;
            for (const Work& w : works_)
                append_exact<T>(tasks, {rows(w), as_stack(all_.g_[w.b]), square(w.p.G()),
                                        contiguous_stack(w.p.c(), all_.m_, 1, 1)});
            gram<T>(all_.queue_, tasks);
        }
        void project() const {
            std::vector<Gram<T>> tasks;
            for (const Work& w : works_)
                tasks.push_back(
                    {as_stack(read_only(w.outside)), rows(w), as_rows(&w.p.outside(), 1), as_rows(w.p.P(), all_.m_)});
            gram<T>(all_.queue_, tasks);
            each<Lsr1Project>([&](const Work& w) { return Lsr1Project{w.problem}; });
        }
        void solve() const {
            std::vector<Eigenbasis<double>> bases;
            for (const Work& w : works_)
                bases.push_back({read_only(square(w.p.A())),
                                 {},
                                 w.p.values,
                                 square(w.p.U()),
                                 {all_.basis_.get() + w.b, all_.residual_ + w.b}});
            eigenbasis<double>(all_.queue_, bases);
            each<Lsr1SolveInBasis>([&](const Work& w) {
                return Lsr1SolveInBasis{w.problem, most, out_.radius + w.b, all_.basis_.get() + w.b,
                                        out_.reports.from(w.b)};
            });
            each<Lsr1ChooseUnit<T>>(
                [&](const Work& w) { return Lsr1ChooseUnit<T>{w.problem, read_only(w.Psi), status(w)}; });
        }

        const Lsr1& all_;
        const Lsr1Step<T>& out_;
        Workspace<T> rows_;
        std::vector<Work> works_;
    };

    const Queue& queue_;
    const PairModels<T> models_;
    const Stack<const T> g_;
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
template void lsr1_matvec(const Queue&, const Lsr1Matvec<float>&);
template void lsr1_matvec(const Queue&, const Lsr1Matvec<double>&);

}  // namespace curvblas::CURVBLAS_BACKEND
