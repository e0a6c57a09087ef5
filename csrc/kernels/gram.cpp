#include "kernels/gram.h"

#include <algorithm>

#include "cpu/scratch.h"
#include "kernels/multiply.h"
#include "kernels/update_factors.h"

namespace curvblas::cpu {
namespace {

constexpr Index most_rows = most_rows_of_pairs;

/// Whether K is formed by tiles instead, as the second moment of the columns of R.
template <class T>
bool is_for_tiles(const Gram<T>& task) {
    return task.K.data && task.R.rows > most_rows;
}

/// The columns of one task in pieces that are summed apart, and these in steps that the second-level cache holds.
template <class T>
struct Plan {
    bool has_pairs, exact;
    Index m, s, n, pieces = 1, length = 0, step;

    explicit Plan(const Gram<T>& task)
        : has_pairs(task.K.data && !is_for_tiles(task)),
          exact(task.exact || task.R.rows <= most_exact_rows),
          m(task.R.rows),
          s(task.P.data ? task.V.rows : 0),
          n(task.R.columns) {
        constexpr Index step_bytes = 192 << 10, least = 64, most_pieces = 64;
        constexpr double piece_cost = 5e5;  // 50 us
        step = std::max(step_bytes / (std::max<Index>(m + s, 1) * static_cast<Index>(sizeof(T))) / least, Index{1}) *
               least;
        const double useful = std::clamp(cost() / piece_cost, 1.0, static_cast<double>(most_pieces));
        length = (n / static_cast<Index>(useful) + step) / step * step;
        pieces = std::max<Index>(1, (n + length - 1) / length);
    }

    /// Of one matrix, in units of 0.1 ns.
    double cost() const {
        const double rows = static_cast<double>(m), others = static_cast<double>(s), columns = static_cast<double>(n);
        const double pairs = (has_pairs ? rows * (rows + 1) / 2 : 0) + rows * others;
        const double read = (rows + others) * static_cast<double>(sizeof(T)) / 4;
        return 500 + columns * std::max(read, pairs / (exact ? 4 : 8));
    }
    /// Rows of R are worked on in strips of at most `most_rows`; there is one where there are pairs.
    Index strips() const { return (m + most_rows - 1) / most_rows; }
    Index rows_of(Index strip) const { return std::min(most_rows, m - strip * most_rows); }
    /// Words of the sums of a piece, and of a strip of it.
    Index words() const { return strips() * strip_words(); }
    Index strip_words() const { return RowKernels<T>::words(std::min(m, most_rows), s, has_pairs); }
};

template <class T>
class Grams {
  public:
    Grams(const Queue& queue, std::span<const Gram<T>> group) : queue_(queue), group_(group) {
        for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
            const Plan<T>& plan = plans_.emplace_back(group[t]);
            first_slot_.push_back(words_);
            if (plan.words() == 0) continue;
            const Index batch = group[t].R.batch;
            if (plan.pieces == 1) {
                Queue::append_task(items_, t, batch, plan.cost());
                continue;
            }
            words_ += batch * plan.pieces * plan.words();
            for (Index b = 0; b < batch; ++b)
                for (Index piece = 0; piece < plan.pieces; ++piece)
                    items_.push_back({t, b, 1, piece, plan.cost() / static_cast<double>(plan.pieces)});
        }
    }

    void run() {
        Scratch<Grams> slots(bytes<double>(words_));
        slots_ = slots.template take<double>(words_);
        // Pieces of all tasks side by side: threads share columns, not tasks, which may have rows in common.
        std::stable_sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) { return a.part < b.part; });
        queue_.run(items_, [&](const Item& item) { work(item); });
        for (Index t = 0; t < static_cast<Index>(group_.size()); ++t) {
            const Plan<T>& plan = plans_[static_cast<std::size_t>(t)];
            for (Index b = 0; b < group_[t].R.batch && plan.pieces > 1 && plan.words() > 0; ++b) add_up(t, plan, b);
        }
    }

  private:
    double* slot(Index task, const Plan<T>& plan, Index b, Index piece) const {
        return slots_ + first_slot_[static_cast<std::size_t>(task)] + (b * plan.pieces + piece) * plan.words();
    }

    void work(const Item& item) const {
        Queue::for_each_matrix(item, [&](Index t, Index b) { work(t, b, std::max<Index>(item.part, 0)); });
    }

    void work(Index t, Index b, Index piece) const {
        const Gram<T>& task = group_[t];
        const Plan<T>& plan = plans_[static_cast<std::size_t>(t)];
        struct Memory;
        const bool copies = (task.R.column_stride != 1) || (plan.s > 0 && task.V.column_stride != 1);
        const Index rows = copies ? (plan.m + plan.s) * plan.step : 0;
        Scratch<Memory> scratch(bytes<double>(plan.words()) + bytes<T>(rows));
        double* const own = scratch.template take<double>(plan.words());
        T* const copy = scratch.template take<T>(rows);
        double* const sums = plan.pieces == 1 ? own : slot(t, plan, b, piece);
        std::fill_n(sums, plan.words(), 0.0);
        const Index begin = piece * plan.length, end = std::min(begin + plan.length, plan.n);
        for (Index k = begin; k < end; k += plan.step)
            add_step(task, plan, b, k, std::min(plan.step, end - k), copy, sums);
        if (plan.pieces == 1) store(task, plan, b, sums);
    }

    /// The products over columns [k, k + count).
    void add_step(const Gram<T>& task, const Plan<T>& plan, Index b, Index k, Index count, T* copy,
                  double* sums) const {
        const LongRows<T> R = long_rows(task.R[b], k, count, copy, plan.step);
        const LongRows<T> V = plan.s > 0 ? long_rows(task.V[b], k, count, copy + plan.m * plan.step, plan.step)
                                         : LongRows<T>{R.data, 0, R.stride};
        for (Index strip = 0; strip < plan.strips(); ++strip)
            queue_.micro().template row_kernels<T>().add_products(
                {R.data + strip * most_rows * R.stride, plan.rows_of(strip), R.stride}, V, count, plan.has_pairs,
                plan.exact, sums + strip * plan.strip_words());
    }

    /// The sums of all pieces, pairwise.
    void add_up(Index t, const Plan<T>& plan, Index b) const {
        for (Index step = 1; step < plan.pieces; step *= 2)
            for (Index piece = 0; piece + step < plan.pieces; piece += 2 * step) {
                double* const to = slot(t, plan, b, piece);
                const double* const from = slot(t, plan, b, piece + step);
                for (Index w = 0; w < plan.words(); ++w) to[w] += from[w];
            }
        store(group_[t], plan, b, slot(t, plan, b, 0));
    }

    static void store(const Gram<T>& task, const Plan<T>& plan, Index b, const double* sums) {
        using Kernels = RowKernels<T>;
        const Matrix<double> K = task.K[b], P = task.P[b];
        for (Index i = 0; i < plan.m && plan.has_pairs; ++i)
            for (Index j = 0; j <= i; ++j) K(i, j) = K(j, i) = sums[Kernels::place_of_square(i, j, plan.m)];
        for (Index i = 0; i < plan.m; ++i) {
            const Index strip = i / most_rows, rows = plan.rows_of(strip);
            const double* const own = sums + strip * plan.strip_words();
            for (Index j = 0; j < plan.s; ++j)
                P(i, j) = own[Kernels::place_of_product(i % most_rows, j, rows, plan.s, plan.has_pairs)];
        }
    }

    const Queue& queue_;
    const std::span<const Gram<T>> group_;
    std::vector<Plan<T>> plans_;
    std::vector<Item> items_;
    std::vector<Index> first_slot_;
    Index words_ = 0;
    double* slots_ = nullptr;
};

/// K of the tasks with many rows: the second moment of n vectors of length m.
template <class T>
void gram_by_tiles(const Queue& queue, std::span<const Gram<T>> group) {
    Index words = 0, most_batch = 0;
    for (const Gram<T>& task : group) {
        if (!is_for_tiles(task)) continue;
        words += task.K.batch * task.K.rows * task.K.rows, most_batch = std::max(most_batch, task.K.batch);
    }
    if (words == 0) return;
    const auto sums = queue.scratch<T>(words);
    const std::vector<double> zeros(static_cast<std::size_t>(most_batch), 0.0);
    const std::vector<double> ones(static_cast<std::size_t>(most_batch), 1.0);
    std::vector<UpdateFactors<T>> tasks;
    std::vector<Stack<double>> targets;
    T* next = sums.get();
    for (const Gram<T>& task : group) {
        if (!is_for_tiles(task)) continue;
        const Stack<const T>& R = task.R;
        const Stack<T> moment = contiguous_stack(next, R.rows, R.rows, R.batch);
        next += R.batch * R.rows * R.rows;
        tasks.push_back({read_only(moment),
                         {R.data, dtype_of<T>, R.columns, 1, R.rows, R.column_stride, 0, R.row_stride, R.batch_stride},
                         {},
                         false,
                         zeros.data(),
                         ones.data(),
                         moment});
        targets.push_back(task.K);
    }
    update_factors<T>(queue, tasks);
    for (std::size_t t = 0; t < tasks.size(); ++t)
        for (Index b = 0; b < targets[t].batch; ++b) {
            const Matrix<T> from = tasks[t].updated[b];
            for (Index i = 0; i < from.rows; ++i)
                for (Index j = 0; j < from.rows; ++j) targets[t][b](i, j) = static_cast<double>(from(i, j));
        }
}

}  // namespace

template <class T>
void gram(const Queue& queue, std::span<const Gram<T>> group) {
    Grams<T>(queue, group).run();
    gram_by_tiles<T>(queue, group);
}

template void gram(const Queue&, std::span<const Gram<float>>);
template void gram(const Queue&, std::span<const Gram<double>>);

}  // namespace curvblas::cpu
