#include "algorithms/kalman.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/damped_cholesky.h"
#include "kernels/gram.h"
#include "kernels/kalman.h"
#include "kernels/low_rank_apply.h"
#include "kernels/multiply.h"
#include "kernels/triangular_solve.h"
#include "kernels/update_factors.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

template <class T>
Matrix<T> columns_of(const Matrix<T>& A, Index first, Index count) {
    return {A.data + first * A.column_stride, A.rows, count, A.row_stride, A.column_stride};
}
template <class T>
Matrix<T> square(T* data, Index n) {
    return {data, n, n, n, 1};
}

/// A step of some neighbouring blocks; P is that of the first of them.
template <class T>
class Kalman {
  public:
    Kalman(const Queue& queue, const KalmanStep<T>& step)
        : queue_(queue),
          step_(step),
          blocks_(static_cast<Index>(step.begins.size()) - 1),
          outputs_(step.H.rows),
          growth_(1 / (1 - step.fading)),
          memory_(queue.template scratch<double>(words())),
          next_(memory_.get()),
          status_(queue.template scratch<Status>(blocks_)),
          minors_(queue.template scratch<Index>(blocks_)),
          narrow_(queue.template scratch<T>(is_wide ? 0 : outputs_ * columns())),
          W_(take(outputs_, columns() + blocks_)),
          X_(take(outputs_, columns() + blocks_)),
          S_(contiguous_stack(take(blocks_ * outputs_ * outputs_), outputs_, outputs_, blocks_)),
          L_(contiguous_stack(take(blocks_ * outputs_ * outputs_), outputs_, outputs_, blocks_)) {
        T* P = step.P;
        for (Index b = 0; b < blocks_; P += size(b) * size(b), ++b) P_.push_back(square(P, size(b)));
    }

    void run() {
        multiply_by_covariance();
        set_up_systems();
        factorise();
        judge();
        subtract();
    }

  private:
    static constexpr bool is_wide = sizeof(T) == sizeof(double);

    Index size(Index b) const { return step_.begins[b + 1] - step_.begins[b]; }
    Index columns() const { return step_.begins[blocks_] - step_.begins[0]; }
    /// Whether products of H are formed in float64, where memory bounds them anyway; gram's limit.
    bool are_few() const { return outputs_ <= most_exact_rows; }
    /// W and X, with a column more each; H in float64; S and L; numbers.
    Index words() const {
        const Index o = outputs_, copy = !is_wide && are_few() ? o * columns() : 0;
        return 2 * o * (columns() + blocks_) + copy + blocks_ * (2 * o * o + 4);
    }
    double* take(Index words) { return std::exchange(next_, next_ + words); }
    Matrix<double> take(Index rows, Index columns) { return {take(rows * columns), rows, columns, columns, 1}; }

    Matrix<const T> H(Index b) const { return columns_of(step_.H, step_.begins[b], size(b)); }
    /// The columns of block b of W or X, the last of which goes with the error.
    Matrix<double> with_error(const Matrix<double>& A, Index b) const {
        return columns_of(A, step_.begins[b] - step_.begins[0] + b, size(b) + 1);
    }
    /// H P of block b in T.
    Matrix<T> W(Index b) const {
        if constexpr (is_wide)
            return own(W_, b);
        else
            return columns_of(Matrix<T>{narrow_.get(), outputs_, columns(), columns(), 1},
                              step_.begins[b] - step_.begins[0], size(b));
    }
    Matrix<double> own(const Matrix<double>& A, Index b) const { return columns_of(with_error(A, b), 0, size(b)); }
    Matrix<double> error(const Matrix<double>& A, Index b) const { return columns_of(with_error(A, b), size(b), 1); }

    /// A in float64: A itself, or a copy.
    Matrix<const double> widened(const Matrix<const T>& A) {
        if constexpr (is_wide) {
            return A;
        } else {
            const Matrix<double> wide = take(A.rows, A.columns);
            const KalmanWiden<T> task{A, wide};
            for_each_element<KalmanWiden<T>>(queue_, std::span(&task, 1));
            return read_only(wide);
        }
    }

    /// W = H P.
    void multiply_by_covariance() {
        if (are_few()) {
            const Matrix<const double> H = widened(columns_of(step_.H, step_.begins[0], columns()));
            std::vector<LowRankApply<T>> sums;
            for (Index b = 0; b < blocks_; ++b)
                sums.push_back({as_stack(columns_of(H, step_.begins[b] - step_.begins[0], size(b))),
                                as_stack(read_only(P_[b])),
                                {},
                                nullptr,
                                as_stack(W(b))});
            return low_rank_apply<T>(queue_, sums);
        }
        std::vector<Product<T>> products;
        for (Index b = 0; b < blocks_; ++b)
            products.push_back({as_stack(H(b)), as_stack(read_only(P_[b])), as_stack(W(b))});
        multiply<T>(queue_, products);
    }

    /// S from the products of the rows of H with those of W; and W in float64, with the error beside it.
    void set_up_systems() {
        std::vector<Gram<T>> squares;
        std::vector<KalmanWiden<T>> copies;
        std::vector<KalmanSystem<T>> systems;
        for (Index b = 0; b < blocks_; ++b) {
            squares.push_back({as_stack(H(b)), as_stack(read_only(W(b))), {}, as_stack(S_[b])});
            if constexpr (!is_wide) copies.push_back({read_only(W(b)), own(W_, b)});
            systems.push_back({step_.R, step_.e, step_.is_diagonal, growth_, S_[b], error(W_, b)});
        }
        gram<T>(queue_, squares);
        if constexpr (!is_wide) for_each_element<KalmanWiden<T>>(queue_, copies);
        for_each_element<KalmanSystem<T>>(queue_, systems);
    }

    /// X, y = L^-1 (W, e).
    void factorise() {
        const std::vector<double> zeros(static_cast<std::size_t>(blocks_), 0.0);
        const auto damping = queue_.copy_of(std::span<const double>(zeros));
        double* const reports = take(2 * blocks_);
        const DampedCholesky<double> factors{
            read_only(S_), damping.get(), L_, {status_.get(), reports, reports + blocks_, minors_.get()}};
        damped_cholesky<double>(queue_, std::span(&factors, 1), OnFailure::raise);
        std::vector<TriangularSolve<double>> solves;
        for (Index b = 0; b < blocks_; ++b)
            solves.push_back(
                {as_stack(read_only(L_[b])), as_stack(read_only(with_error(W_, b))), as_stack(with_error(X_, b))});
        triangular_solve<double>(queue_, solves, TriangularSystem::lower);
    }

    void judge() {
        keep_ = take(blocks_), add_ = take(blocks_);
        std::vector<KalmanJudge<T>> judges;
        std::vector<KalmanGain<T>> gains;
        for (Index b = 0; b < blocks_; ++b) {
            const Matrix<const double> y = read_only(error(X_, b));
            judges.push_back({read_only(S_[b]), read_only(L_[b]), y, step_.R, step_.is_diagonal, growth_,
                              status_.get() + b, step_.status + b, keep_ + b, add_ + b});
            gains.push_back({own(X_, b), y, growth_, step_.status + b, step_.update + step_.begins[b]});
        }
        for_each_element<KalmanJudge<T>>(queue_, judges);
        for_each_element<KalmanGain<T>>(queue_, gains);
    }

    /// P <- keep P + add X^T X.
    void subtract() {
        std::vector<UpdateFactors<T>> updates;
        for (Index b = 0; b < blocks_; ++b) {
            const Matrix<double> X = own(X_, b);
            const Rows rows{X.data, DType::float64, X.rows, 1, X.columns, X.row_stride, 0, 1, 0};
            updates.push_back(
                {as_stack(read_only(P_[b])), rows, {}, false, keep_ + b, add_ + b, as_stack(P_[b]), growth_});
        }
        update_factors<T>(queue_, updates);
    }

    const Queue& queue_;
    const KalmanStep<T>& step_;
    const Index blocks_, outputs_;
    const double growth_;
    decltype(std::declval<Queue>().template scratch<double>(0)) memory_;
    double *next_, *keep_ = nullptr, *add_ = nullptr;
    decltype(std::declval<Queue>().template scratch<Status>(0)) status_;
    decltype(std::declval<Queue>().template scratch<Index>(0)) minors_;
    decltype(std::declval<Queue>().template scratch<T>(0)) narrow_;
    const Matrix<double> W_, X_;
    const Stack<double> S_, L_;
    std::vector<Matrix<T>> P_;
};

/// Blocks [first, last) of a step; their covariances begin at `offset`.
struct Piece {
    Index first, last, offset;

    template <class T>
    KalmanStep<T> of(KalmanStep<T> step) const {
        step.P += offset, step.status += first;
        step.begins = step.begins.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1));
        return step;
    }
};

/// Neighbouring small blocks, which a thread's second-level cache holds together, and large ones, which all threads
/// share.
struct Pieces {
    std::vector<Piece> small, large;
    double cost = 0;  // of a small one, on average

    template <class T>
    explicit Pieces(const KalmanStep<T>& step) {
        Index bytes = 0, offset = 0;
        for (Index b = 0; b + 1 < static_cast<Index>(step.begins.size()); ++b) {
            const Index n = step.begins[b + 1] - step.begins[b], o = step.H.rows;
            const Index own = n * n * static_cast<Index>(sizeof(T)) + 3 * o * n * static_cast<Index>(sizeof(double));
            const bool is_next = !small.empty() && small.back().last == b;
            if (own > Queue::piece_bytes) {
                large.push_back({b, b + 1, offset});
            } else {
                if (!is_next || bytes + own > Queue::piece_bytes) small.push_back({b, b, offset}), bytes = 0;
                small.back().last = b + 1, bytes += own;
                cost += 1e4 + static_cast<double>(own * (o + 2)) / 4;
            }
            offset += n * n;
        }
        cost /= static_cast<double>(std::max<std::size_t>(small.size(), 1));
    }
};

}  // namespace

template <class T>
void kalman_step(const Queue& queue, const KalmanStep<T>& step) {
    const Pieces pieces(step);
    const auto run = [&](const Piece& piece) {
        const KalmanStep<T> own = piece.of(step);
        Kalman<T>(queue, own).run();
    };
    for (const Piece& piece : pieces.large) run(piece);
    queue.run_pieces(static_cast<Index>(pieces.small.size()), pieces.cost,
                     [&](Index k) { run(pieces.small[static_cast<std::size_t>(k)]); });
}

template <class T>
void kalman_start(const Queue& queue, T* P, std::span<const Index> begins, std::span<const double> given,
                  double variance) {
    const auto there = queue.copy_of(given);
    std::vector<KalmanStart<T>> starts;
    Index offset = 0;
    for (std::size_t b = 0; b + 1 < begins.size(); ++b) {
        const Index n = begins[b + 1] - begins[b];
        const double* const from = given.empty() ? nullptr : there.get() + offset;
        starts.push_back({square(from, n), variance, square(P + offset, n)});
        offset += n * n;
    }
    for_each_element<KalmanStart<T>>(queue, starts);
}

template void kalman_step(const Queue&, const KalmanStep<float>&);
template void kalman_step(const Queue&, const KalmanStep<double>&);
template void kalman_start(const Queue&, float*, std::span<const Index>, std::span<const double>, double);
template void kalman_start(const Queue&, double*, std::span<const Index>, std::span<const double>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
