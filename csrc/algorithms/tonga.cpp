#include "algorithms/tonga.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/damped_inverse.h"
#include "kernels/eigenbasis.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/multiply.h"
#include "kernels/tonga.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// A step of some neighbouring blocks.
template <class T>
class Tonga {
  public:
    Tonga(const Queue& queue, const TongaStep<T>& step)
        : queue_(queue),
          step_(step),
          memory_(step_.memory),
          rank_(memory_.rank),
          slots_(rank_ + memory_.window),
          blocks_(memory_.K.batch),
          count_(memory_.count),
          scale_{memory_.decay},
          scratch_(queue.template scratch<double>(blocks_ * words())) {}

    void run() {
        for_each_block(queue_, blocks_,
                       TongaBegin{memory_.is_new, memory_.initial_damping, memory_.K, memory_.damping, step_.status});
        if (memory_.is_new) clear_rows();
        const Index N = step_.G.rows;
        // Gradients of an earlier window are in X no longer, and neither is their mean.
        const bool has_mean = memory_.count + N > memory_.window;
        for (Index done = 0, some; done < N; done += some) {
            if (count_ == memory_.window) truncate();
            some = std::min({N - done, memory_.window - count_, most_exact_rows});
            append(done, some);
        }
        has_mean ? solve_for_mean() : solve_for_last(N);
        if (count_ == memory_.window) truncate();
    }

  private:
    /// Of scratch, for a block, at any of the steps.
    Index words() const {
        const Index products = most_exact_rows * (slots_ + most_exact_rows + 1), square = slots_ * slots_;
        return std::max({products, 2 * square + 2 * slots_ + 4, square + (rank_ + 1) * slots_ + 1});
    }
    Index size(Index b) const { return step_.begins[b + 1] - step_.begins[b]; }
    Index columns() const { return step_.begins[blocks_] - step_.begins[0]; }
    Index rows() const { return rank_ + count_; }
    /// Rows of X beyond it, or whose squares no float64 holds, would spoil the memory.
    static constexpr double longest = sizeof(T) == 4 ? std::numeric_limits<float>::max() : 1e150;

    /// Small matrices, one a block, from the beginning of scratch or behind others.
    Stack<double> take(Index rows, Index columns) {
        const Stack<double> own = contiguous_stack(scratch_.get() + taken_ * blocks_, rows, columns, blocks_);
        taken_ += rows * columns;
        return own;
    }

    /// Rows [first, first + count) of A for block b; its columns begin with those of parameter `origin`.
    template <class U>
    Stack<U> block(const Matrix<U>& A, Index b, Index first, Index count, Index origin = 0) const {
        U* const begin = A.row(first) + (step_.begins[b] - origin) * A.column_stride;
        return as_stack<U>({begin, count, size(b), A.row_stride, A.column_stride});
    }
    /// The same for all blocks.
    template <class U>
    Stack<U> all(const Matrix<U>& A, Index first, Index count) const {
        U* const begin = A.row(first) + step_.begins[0] * A.column_stride;
        return as_stack<U>({begin, count, columns(), A.row_stride, A.column_stride});
    }
    Stack<const T> rows_of(const Matrix<T>& X, Index b, Index first, Index count) const {
        return block<const T>({X.data, X.rows, X.columns, X.row_stride, X.column_stride}, b, first, count);
    }
    Stack<const T> kept(Index b, Index count) const { return rows_of(memory_.X, b, 0, count); }
    /// X X^T for the rows in use.
    Stack<const double> squares() const {
        const Stack<double>& K = memory_.K;
        return {K.data, rows(), rows(), K.row_stride, K.column_stride, blocks_, K.batch_stride};
    }
    template <class U>
    static Stack<U> of_block(const Stack<U>& A, Index b) {
        return as_stack<U>(A[b]);
    }

    void clear_rows() {
        const Stack<T> rows = all(memory_.X, 0, rank_);
        const std::vector<LowRankApply<T>> zeros = {
            {{nullptr, rank_, 0, 0, 1, 1, 0}, {rows.data, 0, rows.columns, 0, 1, 1, 0}, {}, nullptr, rows}};
        low_rank_apply<T>(queue_, zeros);
    }

    /// `some` gradients from gradient `first` of the call on: their products, then their rows.
    void append(Index first, Index some) {
        taken_ = 0;
        const Stack<double> P = take(some, rows()), S = take(some, some), is_finite = take(1, some);
        std::vector<Gram<T>> products;
        std::vector<TongaRows<T>> appended;
        for (Index b = 0; b < blocks_; ++b) {
            products.push_back({block(step_.G, b, first, some), kept(b, rows()), of_block(S, b), of_block(P, b)});
            appended.push_back({scale_, count_, is_finite[b].data, block(step_.G, b, first, some)[0],
                                block(memory_.X, b, rows(), some)[0]});
        }
        gram<T>(queue_, products);
        for_each_block(
            queue_, blocks_,
            TongaAppend{scale_, count_, longest, read_only(P), read_only(S), memory_.K, is_finite, step_.status});
        tonga_rows<T>(queue_, appended);
        count_ += some;
    }

    /// v for the mean of the last gradients, which are rows of X.
    void solve_for_last(Index gradients) {
        taken_ = 0;
        const Index r = rows();
        const Stack<double> S = take(r, r), M = take(r, r), w = take(1, r), Q = take(1, r);
        const Stack<double> zero = take(1, 1), reports = take(1, 3);
        const auto status = queue_.template scratch<Status>(blocks_);
        const auto minor = queue_.template scratch<Index>(blocks_);
        double* const report = reports.data;
        for_each_block(queue_, blocks_, TongaSystem{scale_, count_, memory_.damping, squares(), S, w, zero.data});
        const DampedInverse<double> inverse{
            read_only(S), zero.data, M, {status.get(), report, report + blocks_, report + 2 * blocks_, minor.get()}};
        damped_inverse<double>(queue_, std::span(&inverse, 1), OnFailure::jitter);
        for_each_block(queue_, blocks_,
                       TongaWeights{scale_, count_, gradients, step_.factor, read_only(M), read_only(w), status.get(),
                                    Q, step_.status});
        add_up(read_only(Q), nullptr, nullptr);
    }

    /// v for the mean of all gradients, which are not all rows of X.
    void solve_for_mean() {
        const Index N = step_.G.rows, r = rows();
        const auto mean = queue_.template scratch<T>(columns());
        const std::vector<double> equal(static_cast<std::size_t>(N), 1 / static_cast<double>(N));
        const auto weights = queue_.copy_of(std::span<const double>(equal));
        const std::vector<LowRankApply<T>> means = {{as_stack<const double>({weights.get(), 1, N, N, 1}),
                                                     all(step_.G, 0, N),
                                                     {},
                                                     nullptr,
                                                     as_stack<T>({mean.get(), 1, columns(), columns(), 1})}};
        low_rank_apply<T>(queue_, means);
        taken_ = 0;
        const Stack<double> Q = take(1, r), w = take(1, 1), P = take(1, r), V = take(r, r);
        const Stack<double> values = take(1, r), residual = take(1, 1);
        const Matrix<const T> g{mean.get(), 1, columns(), columns(), 1};
        std::vector<Gram<T>> products;
        for (Index b = 0; b < blocks_; ++b)
            products.push_back({block(g, b, 0, 1, step_.begins[0]), kept(b, r), {}, of_block(P, b)});
        gram<T>(queue_, products);
        const auto status = queue_.template scratch<Status>(blocks_);
        const Eigenbasis<double> basis{squares(), {}, values.data, V, {status.get(), residual.data}};
        eigenbasis<double>(queue_, std::span(&basis, 1));
        for_each_block(
            queue_, blocks_,
            TongaMeanWeights{scale_, count_, step_.factor, std::numeric_limits<T>::epsilon(), read_only(values),
                             read_only(V), read_only(P), memory_.damping, status.get(), Q, w, step_.status});
        add_up(read_only(Q), &g, w.data);
    }

    /// v = Q X + w g
    void add_up(const Stack<const double>& Q, const Matrix<const T>* g, const double* w) {
        const Matrix<T> v{step_.v, 1, step_.G.columns, step_.G.columns, 1};
        std::vector<LowRankApply<T>> sums;
        for (Index b = 0; b < blocks_; ++b)
            sums.push_back({of_block(Q, b), kept(b, rows()), g ? block(*g, b, 0, 1, step_.begins[0]) : Stack<const T>{},
                            g ? w + b : nullptr, block(v, b, 0, 1)});
        low_rank_apply<T>(queue_, sums);
    }

    /// The largest eigenvectors take the place of all rows of X; K is formed anew from them as they are rounded.
    void truncate() {
        taken_ = 0;
        const Stack<double> V = take(slots_, slots_), values = take(1, slots_), residual = take(1, 1);
        const auto status = queue_.template scratch<Status>(blocks_);
        const Eigenbasis<double> basis{squares(), {}, values.data, V, {status.get(), residual.data}};
        eigenbasis<double>(queue_, std::span(&basis, 1));
        const Stack<double> Q = take(rank_, slots_);
        for_each_block(queue_, blocks_,
                       TongaTruncation{scale_, count_, step_.min_damping, read_only(values), read_only(V), status.get(),
                                       memory_.damping, Q, step_.status});
        std::vector<LowRankApply<T>> rotations;
        std::vector<Gram<T>> products;
        for (Index b = 0; b < blocks_; ++b) {
            rotations.push_back(
                {of_block(read_only(Q), b), kept(b, slots_), {}, nullptr, block(memory_.X, b, 0, rank_)});
            for (Index i = 0; i < rank_; i += most_exact_rows) {
                const Index some = std::min(most_exact_rows, rank_ - i);
                const Matrix<double> k = memory_.K[b];
                const Matrix<double> strip{k.row(i), some, rank_, k.row_stride, k.column_stride};
                products.push_back({rows_of(memory_.X, b, i, some), kept(b, rank_), {}, as_stack(strip)});
            }
        }
        low_rank_apply<T>(queue_, rotations);
        gram<T>(queue_, products);
        count_ = 0;
    }

    const Queue& queue_;
    const TongaStep<T> step_;
    const TongaMemory<T>& memory_;
    const Index rank_, slots_, blocks_;
    Index count_, taken_ = 0;
    const TongaScale scale_;
    decltype(std::declval<Queue>().template scratch<double>(0)) scratch_;
};

/// Blocks [first, last) of a step.
template <class T>
TongaStep<T> blocks_of(TongaStep<T> step, Index first, Index last) {
    step.memory.K.data += first * step.memory.K.batch_stride, step.memory.K.batch = last - first;
    step.memory.damping += first, step.begins += first, step.status += first;
    return step;
}

/// Blocks [first, last).
struct Piece {
    Index first, last;
};

/// Neighbouring small blocks, whose rows a thread's second-level cache holds together, and large ones, which all
/// threads share.
struct Pieces {
    std::vector<Piece> small, large;
    double cost = 0;  // of a small one, on average

    template <class T>
    explicit Pieces(const TongaStep<T>& step) {
        constexpr Index least = 8, many = 4;  // blocks for the lanes; of the bytes of a piece, too many for a thread
        const Index bytes_of_column = step.memory.K.rows * static_cast<Index>(sizeof(T));
        Index bytes = 0;
        for (Index b = 0; b < step.memory.K.batch; ++b) {
            const Index own = (step.begins[b + 1] - step.begins[b]) * bytes_of_column;
            if (own / many > Queue::piece_bytes) {
                large.push_back({b, b + 1});
                continue;
            }
            const bool is_next = !small.empty() && small.back().last == b;
            const bool are_few = is_next && b - small.back().first < least;
            if (!is_next || (bytes + own) / (are_few ? 2 : 1) > Queue::piece_bytes) small.push_back({b, b}), bytes = 0;
            small.back().last = b + 1, bytes += own;
            cost += static_cast<double>(own) / 2 + 1e4;
        }
        cost /= static_cast<double>(std::max<std::size_t>(small.size(), 1));
    }
};

}  // namespace

template <class T>
Index tonga_step(const Queue& queue, const TongaStep<T>& step) {
    const Pieces pieces(step);
    const auto run = [&](const Piece& piece) { Tonga<T>(queue, blocks_of(step, piece.first, piece.last)).run(); };
    for (const Piece& piece : pieces.large) run(piece);
    queue.run_pieces(static_cast<Index>(pieces.small.size()), pieces.cost,
                     [&](Index k) { run(pieces.small[static_cast<std::size_t>(k)]); });
    return (step.memory.count + step.G.rows) % step.memory.window;
}

template Index tonga_step(const Queue&, const TongaStep<float>&);
template Index tonga_step(const Queue&, const TongaStep<double>&);

}  // namespace curvblas::CURVBLAS_BACKEND
