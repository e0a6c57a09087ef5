#include "algorithms/tonga.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/damped_inverse.h"
#include "kernels/eigenbasis.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/tonga.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr Index most_together = 8;  // gradients whose products gram forms in float64

Stack<const double> read_only(const Stack<double>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride, A.batch, A.batch_stride};
}

template <class T>
Stack<T> one(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride, 1, 0};
}

template <class T>
class Tonga {
  public:
    Tonga(const Queue& queue, const TongaStep<T>& step)
        : queue_(queue),
          step_(step),
          memory_(step.memory),
          rank_(memory_.rank),
          slots_(rank_ + memory_.window),
          blocks_(memory_.K.batch),
          count_(memory_.count),
          scale_{memory_.decay},
          scratch_(queue.template scratch<double>(blocks_ * words())) {}

    Index run() {
        for_each_block(queue_, blocks_,
                       TongaBegin{memory_.is_new, memory_.initial_damping, memory_.K, memory_.damping, step_.status});
        if (memory_.is_new) clear_rows();
        const Index N = step_.G.rows;
        // Gradients of an earlier window are in X no longer, and neither is their mean.
        const bool has_mean = memory_.count + N > memory_.window;
        for (Index done = 0, some; done < N; done += some) {
            if (count_ == memory_.window) truncate();
            some = std::min({N - done, memory_.window - count_, most_together});
            append(done, some);
        }
        has_mean ? solve_for_mean() : solve_for_last(N);
        if (count_ == memory_.window) truncate();
        return count_;
    }

  private:
    /// Of scratch, for a block, at any of the steps.
    Index words() const {
        const Index products = most_together * (slots_ + most_together + 1), weights = 2 * slots_ + 5;
        return std::max(products, slots_ * slots_ + std::max(weights, (rank_ + 1) * slots_ + 1));
    }
    Index size(Index b) const { return step_.begins[b + 1] - step_.begins[b]; }
    Index rows() const { return rank_ + count_; }

    /// Small matrices, one a block, from the beginning of scratch or behind others.
    Stack<double> take(Index rows, Index columns) {
        const Stack<double> own{scratch_.get() + taken_ * blocks_, rows, columns, columns, 1, blocks_, rows * columns};
        taken_ += rows * columns;
        return own;
    }

    /// Rows [first, first + count) of A for block b.
    template <class U>
    Stack<U> block(const Matrix<U>& A, Index b, Index first, Index count) const {
        return one<U>(
            {A.row(first) + step_.begins[b] * A.column_stride, count, size(b), A.row_stride, A.column_stride});
    }
    Stack<const T> kept(Index b, Index count) const {
        const Matrix<T>& X = memory_.X;
        return block<const T>({X.data, X.rows, X.columns, X.row_stride, X.column_stride}, b, 0, count);
    }
    template <class U>
    static Stack<U> of_block(const Stack<U>& A, Index b) {
        return one<U>(A[b]);
    }

    void clear_rows() {
        const auto& [data, rows, columns, row_stride, column_stride] = memory_.X;
        low_rank_apply<T>(queue_,
                          std::vector<LowRankApply<T>>{{{nullptr, rank_, 0, 0, 1, 1, 0},
                                                        {data, 0, columns, 0, 1, 1, 0},
                                                        {},
                                                        nullptr,
                                                        one<T>({data, rank_, columns, row_stride, column_stride})}});
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
        for_each_block(queue_, blocks_,
                       TongaAppend{scale_, count_, std::numeric_limits<T>::max(), read_only(P), read_only(S), memory_.K,
                                   is_finite, step_.status});
        tonga_rows<T>(queue_, appended);
        count_ += some;
    }

    /// The inverse of X X^T + shift I, and the weights that it gives.
    void weigh(Index gradients, const Stack<const double>& P, const Stack<double>& Q, const Stack<double>& w) {
        const Index r = rows();
        const Stack<double> M = take(r, r), shift = take(1, 1), reports = take(1, 3);
        const auto status = queue_.template scratch<Status>(blocks_);
        const auto minor = queue_.template scratch<Index>(blocks_);
        double* const report = reports.data;
        for_each_block(queue_, blocks_, TongaShift{scale_, count_, memory_.damping, shift.data});
        const Stack<double>& K = memory_.K;
        const DampedInverse<double> inverse{
            {K.data, r, r, K.row_stride, K.column_stride, blocks_, K.batch_stride},
            shift.data,
            M,
            {status.get(), report, report + blocks_, report + 2 * blocks_, minor.get()}};
        damped_inverse<double>(queue_, std::span(&inverse, 1), OnFailure::jitter);
        for_each_block(queue_, blocks_,
                       TongaWeights{scale_, count_, gradients, step_.factor, read_only(M), P, memory_.damping,
                                    status.get(), Q, w, step_.status});
    }

    /// v for the mean of the last gradients, which are rows of X.
    void solve_for_last(Index gradients) {
        taken_ = 0;
        const Stack<double> Q = take(1, rows()), w = take(1, 1);
        weigh(gradients, {}, Q, w);
        add_up(read_only(Q), {}, nullptr);
    }

    void solve_for_mean() {
        const Index N = step_.G.rows;
        const auto mean = queue_.template scratch<T>(step_.G.columns);
        const std::vector<double> equal(static_cast<std::size_t>(N), 1 / static_cast<double>(N));
        const auto weights = queue_.template copy_of<double>(equal);
        const Matrix<T> g{mean.get(), 1, step_.G.columns, step_.G.columns, 1};
        const Matrix<const T> g_read{mean.get(), 1, g.columns, g.columns, 1};
        low_rank_apply<T>(queue_,
                          std::vector<LowRankApply<T>>{
                              {one<const double>({weights.get(), 1, N, N, 1}), one(step_.G), {}, nullptr, one(g)}});
        taken_ = 0;
        const Stack<double> Q = take(1, rows()), w = take(1, 1), P = take(1, rows());
        std::vector<Gram<T>> products;
        for (Index b = 0; b < blocks_; ++b)
            products.push_back({block(g_read, b, 0, 1), kept(b, rows()), {}, of_block(P, b)});
        gram<T>(queue_, products);
        weigh(N, read_only(P), Q, w);
        add_up(read_only(Q), g_read, w.data);
    }

    /// v = Q X + w g
    void add_up(const Stack<const double>& Q, const Matrix<const T>& g, const double* w) {
        const Matrix<T> v{step_.v, 1, step_.G.columns, step_.G.columns, 1};
        std::vector<LowRankApply<T>> sums;
        for (Index b = 0; b < blocks_; ++b)
            sums.push_back({of_block(Q, b), kept(b, rows()), w ? block(g, b, 0, 1) : Stack<const T>{},
                            w ? w + b : nullptr, block(v, b, 0, 1)});
        low_rank_apply<T>(queue_, sums);
    }

    /// The largest eigenvectors take the place of all rows of X; K is formed anew from them as they are rounded.
    void truncate() {
        taken_ = 0;
        const Stack<double> V = take(slots_, slots_), values = take(1, slots_), residual = take(1, 1);
        const auto status = queue_.template scratch<Status>(blocks_);
        const Stack<const double> K = read_only(memory_.K);
        const Eigenbasis<double> basis{K, {}, values.data, V, {status.get(), residual.data}};
        eigenbasis<double>(queue_, std::span(&basis, 1));
        const Stack<double> Q = take(rank_, slots_);
        for_each_block(queue_, blocks_,
                       TongaTruncation{scale_, count_, step_.min_damping, read_only(values), read_only(V), status.get(),
                                       memory_.damping, Q});
        std::vector<LowRankApply<T>> rotations;
        std::vector<Gram<T>> products;
        for (Index b = 0; b < blocks_; ++b) {
            rotations.push_back(
                {of_block(read_only(Q), b), kept(b, slots_), {}, nullptr, block(memory_.X, b, 0, rank_)});
            const Matrix<double> k = memory_.K[b];
            products.push_back({kept(b, rank_), {}, one<double>({k.data, rank_, rank_, k.row_stride, 1}), {}});
        }
        low_rank_apply<T>(queue_, rotations);
        gram<T>(queue_, products);
        count_ = 0;
    }

    const Queue& queue_;
    const TongaStep<T>& step_;
    const TongaMemory<T>& memory_;
    const Index rank_, slots_, blocks_;
    Index count_, taken_ = 0;
    const TongaScale scale_;
    decltype(std::declval<Queue>().template scratch<double>(0)) scratch_;
};

}  // namespace

template <class T>
Index tonga_step(const Queue& queue, const TongaStep<T>& step) {
    return Tonga<T>(queue, step).run();
}

template Index tonga_step(const Queue&, const TongaStep<float>&);
template Index tonga_step(const Queue&, const TongaStep<double>&);

}  // namespace curvblas::CURVBLAS_BACKEND
