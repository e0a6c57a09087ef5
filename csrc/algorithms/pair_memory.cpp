#include "algorithms/pair_memory.h"

#include <limits>
#include <vector>

#include "algorithms/lsr1.h"
#include "algorithms/workspace.h"
#include "kernels/gram.h"
#include "kernels/lbfgs.h"
#include "kernels/low_rank_apply.h"
#include "kernels/pairs.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// New pairs of neighbouring models.
template <class T>
class Update {
  public:
    Update(const Queue& queue, const PairUpdate<T>& update)
        : queue_(queue),
          update_(update),
          m_(update.memory.S.rows),
          n_(update.memory.S.columns),
          batch_(update.s.batch),
          numbers_(queue, batch_ * (NewPairs::words(m_) + LbfgsDamp::words(m_) + 2)),
          rows_(queue, batch_ * 4 * n_),
          pair_(contiguous_stack(rows_.take(batch_ * 2 * n_), 2, n_, batch_)),
          one_(vectors()),
          other_(vectors()) {
        const Index words = batch_ * NewPairs::words(m_);
        pairs_ = {m_, batch_, update.memory.K, update.memory.ring, numbers_.take(words)};
    }

    void of_sr1(const double* gamma) {
        constexpr double rounding = 16 * static_cast<double>(std::numeric_limits<T>::epsilon());
        join(update_.s, update_.y);
        multiply();
        double* const left = numbers_.take(2 * batch_);
        run(PairLeaveOldest{m_, batch_, update_.memory.ring, left});
        PairModels<T> models = update_.memory.models(gamma);
        models.ring = left;
        const Stack<T> Bs = one_, r = other_;
        lsr1_matvec<T>(queue_, {models, row(0), Bs, update_.status, pairs_.of_s(0), NewPairs::words(m_)});
        run(PairSubtract<T>{row(1), read_only(Bs), r});
        const std::vector<Gram<T>> products = {{read_only(r), {}, number(pairs_.rest(0)), {}},
                                               {read_only(r), row(0), {}, number(pairs_.rest(0) + 1)}};
        gram<T>(queue_, products);
        run(PairJudgeSr1{pairs_, rounding, update_.accepted, update_.status});
        store();
    }

    void of_bfgs(bool is_damped) {
        join(update_.s, update_.y);
        multiply();
        if (is_damped) damp();
        run(PairJudgeBfgs{pairs_, update_.accepted, update_.status});
        store();
    }

  private:
    template <class Task>
    void run(const Task& task) const {
        for_each_element<Task>(queue_, std::span(&task, 1));
    }
    Stack<T> vectors() { return contiguous_stack(rows_.take(batch_ * n_), 1, n_, batch_); }
    /// One number of each of the pairs.
    Stack<double> number(double* first) const { return {first, 1, 1, 1, 1, batch_, NewPairs::words(m_)}; }
    Stack<const T> row(Index i) const {
        Stack<const T> some = read_only(pair_);
        some.data += i * n_, some.rows = 1;
        return some;
    }

    void join(const Stack<const T>& s, const Stack<const T>& y) { run(PairJoin<T>{s, y, pair_}); }

    /// The products of the pairs with those of the memory, and of s and y.
    void multiply() const {
        const Index height = 2 * m_ + 2;
        const auto products = [&](Index first, Index rows) {
            return Stack<double>{pairs_.of_s(0) + first, rows, 2, 1, height, batch_, NewPairs::words(m_)};
        };
        const Stack<const T> pair = read_only(pair_);
        std::vector<Gram<T>> tasks;
        append_exact<T>(tasks, {read_only(update_.memory.S), pair, {}, products(0, m_)});
        append_exact<T>(tasks, {read_only(update_.memory.Y), pair, {}, products(m_, m_)});
        append_exact<T>(tasks, {pair, {}, products(2 * m_, 2), {}});
        gram<T>(queue_, tasks);
    }

    /// y becomes a combination of itself, s and the memory.
    void damp() {
        double* const base = numbers_.take(batch_ * LbfgsDamp::words(m_));
        double* const ones = numbers_.take(batch_);
        const LbfgsDamp task{pairs_, base, ones};
        run(task);
        const auto factors = [&](Index first, Index count) {
            return Stack<const double>{base + first, 1, count, count, 1, batch_, LbfgsDamp::words(m_)};
        };
        const Stack<T> part = one_, damped = other_;
        const LowRankApply<T> of_pair{factors(2 * m_, 2), read_only(pair_), {}, nullptr, part};
        low_rank_apply<T>(queue_, std::span(&of_pair, 1));
        LowRankApply<T> of_memory{factors(0, m_), read_only(update_.memory.S), read_only(part), ones, damped};
        of_memory.Q_2 = factors(m_, m_), of_memory.R_2 = read_only(update_.memory.Y);
        low_rank_apply<T>(queue_, std::span(&of_memory, 1));
        join(update_.s, read_only(damped));
        multiply();
    }

    void store() const { run(PairStore<T>{pairs_, read_only(pair_), update_.memory.S, update_.memory.Y}); }

    const Queue& queue_;
    const PairUpdate<T> update_;
    const Index m_, n_, batch_;
    Workspace<double> numbers_;
    Workspace<T> rows_;
    const Stack<T> pair_, one_, other_;
    NewPairs pairs_;
};

template <class T, class Work>
void each_piece(const Queue& queue, const PairUpdate<T>& update, const Work& work) {
    const Index words = NewPairs::words(update.memory.S.rows);
    in_pieces(queue, update.memory.models(nullptr), words, [&](Index first, Index count) {
        PairUpdate<T> own = update;
        for (Stack<T>* A : {&own.memory.S, &own.memory.Y}) *A = some_of(*A, first, count);
        for (Stack<const T>* A : {&own.s, &own.y}) *A = some_of(*A, first, count);
        const Index m = own.memory.S.rows;
        own.memory.K += first * 4 * m * m, own.memory.ring += 2 * first, own.accepted += first, own.status += first;
        Update<T> piece(queue, own);
        work(piece, first);
    });
}

}  // namespace

template <class T>
void pair_memory_clear(const Queue& queue, const PairMemory<T>& memory) {
    const auto& [S, Y, K, ring] = memory;
    const Index words = S.batch * S.rows * S.columns;
    const std::vector<PairClear<T>> rows = {{S.data, words}, {Y.data, words}};
    const std::vector<PairClear<double>> numbers = {{K, S.batch * 4 * S.rows * S.rows}, {ring, S.batch * 2}};
    for_each_element<PairClear<T>>(queue, rows);
    for_each_element<PairClear<double>>(queue, numbers);
}

template <class T>
void lsr1_update(const Queue& queue, const PairUpdate<T>& update, const double* gamma) {
    each_piece(queue, update, [&](Update<T>& piece, Index first) { piece.of_sr1(gamma ? gamma + first : nullptr); });
}

template <class T>
void lbfgs_update(const Queue& queue, const PairUpdate<T>& update, bool is_damped) {
    each_piece(queue, update, [&](Update<T>& piece, Index) { piece.of_bfgs(is_damped); });
}

template void pair_memory_clear(const Queue&, const PairMemory<float>&);
template void pair_memory_clear(const Queue&, const PairMemory<double>&);
template void lsr1_update(const Queue&, const PairUpdate<float>&, const double*);
template void lsr1_update(const Queue&, const PairUpdate<double>&, const double*);
template void lbfgs_update(const Queue&, const PairUpdate<float>&, bool);
template void lbfgs_update(const Queue&, const PairUpdate<double>&, bool);

}  // namespace curvblas::CURVBLAS_BACKEND
