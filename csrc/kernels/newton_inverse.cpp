#include "kernels/newton_inverse.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "cpu/norm.h"
#include "cpu/product.h"
#include "cpu/scratch.h"
#include "cpu/symmetric.h"
#include "kernels/newton_contraction.h"

namespace curvblas::cpu {
namespace {

constexpr Index large = 512;  // from here on all threads work on one product

/// One matrix: A, X, the next X and R are contiguous and full, in float64.
template <class T>
class NewtonSteps {
  public:
    NewtonSteps(const Queue& queue, const NewtonInverse<T>& task, Index b)
        : queue_(queue),
          task_(task),
          b_(b),
          n_(task.C.rows),
          blocks_(n_, 256, 4),
          scratch_(4 * bytes<double>(n_ * n_)),
          squares_(static_cast<std::size_t>(blocks_.count * blocks_.count)),
          traces_(squares_.size()) {
        for (double** matrix : {&A_, &X_, &next_, &R_}) *matrix = scratch_.template take<double>(n_ * n_);
    }

    void run() {
        Contraction contraction = begun();
        while (contraction.verdict == Contraction::go_on) {
            if (contraction.looks > 0) step();
            measure();
            contraction.look(std::sqrt(sum_of(squares_)), sum_of(traces_));
        }
        const InverseReports reports = task_.reports.from(b_);
        *reports.status = Status::no_convergence;
        if (contraction.verdict == Contraction::left) return;
        const Matrix<T> X = task_.X[b_];
        for (Index i = 0; i < n_; ++i)
            for (Index j = 0; j < n_; ++j) X(i, j) = static_cast<T>(X_[i * n_ + j]);
        *reports.status = Status::ok, *reports.jitter = 0,
        *reports.residual = contraction.norm_before + contraction.noise;
        *reports.log_det = std::numeric_limits<double>::quiet_NaN(), *reports.minor = 0;
    }

  private:
    /// A matrix in rows, from its lower triangle; whether its diagonal is positive.
    bool load(const Matrix<const T>& from, double shift, double* to) const {
        const Index n = from.rows;
        bool is_positive = true;
        copy_symmetric(queue_.micro(), from, std::identity{}, to);
        for (Index i = 0; i < n; ++i) is_positive = (to[i * n + i] += shift) > 0 && is_positive;
        return is_positive;
    }

    Contraction begun() {
        const double damping = task_.damping[b_];
        const bool is_valid = damping >= 0 && std::isfinite(damping);
        const bool is_positive = load(task_.C[b_], damping, A_) && load(task_.X_0[b_], 0, X_) && is_valid;
        double squares[2] = {}, longest[2] = {};
        for (Index i = 0; is_positive && i < n_; ++i)
            for (const int k : {0, 1}) {
                const double row = sum_of_squares(n_, (k ? X_ : A_) + i * n_, 1.0);
                squares[k] += row, longest[k] = std::max(longest[k], row);  // NaN is in the sum
            }
        constexpr double epsilon = std::numeric_limits<T>::epsilon();
        return {n_, epsilon, squares[0], squares[1], longest[0], longest[1]};
    }

    Matrix<double> tile(double* matrix, Index i, Index j) const {
        return {matrix + blocks_.first(i) * n_ + blocks_.first(j), blocks_.size(i), blocks_.size(j), n_, 1};
    }
    Matrix<const double> rows(const double* matrix, Index i) const {
        return {matrix + blocks_.first(i) * n_, blocks_.size(i), n_, n_, 1};
    }
    Matrix<const double> columns(const double* matrix, Index j) const {
        return {matrix + blocks_.first(j), n_, blocks_.size(j), n_, 1};
    }

    /// work(i, j) for all tiles, or with `lower` for those on and below the diagonal; what it computes must not depend
    /// on the thread.
    template <class Work>
    void for_each_tile(bool lower, const Work& work) const {
        std::vector<Item> items;
        for (Index i = 0; i < blocks_.count; ++i)
            for (Index j = 0; j < (lower ? i + 1 : blocks_.count); ++j) {
                if (n_ < large) {
                    work(i, j);
                    continue;
                }
                items.push_back({i, j, 1, 0, cost_of_products<double>(1, blocks_.size(i), n_, blocks_.size(j))});
            }
        queue_.run(items, [&](const Item& item) { work(item.task, item.first); });
    }

    /// R = I - A X; the squares of its elements, and tr(R^2), tile by tile.
    void measure() {
        for_each_tile(false, [&](Index i, Index j) {
            const Matrix<double> R = tile(R_, i, j);
            multiply(queue_.micro(), rows(A_, i), columns(X_, j), R);
            double sum = 0;
            for (Index k = 0; k < R.rows; ++k) {
                double* const row = R.row(k);
                for (Index l = 0; l < R.columns; ++l) row[l] = -row[l];
                if (i == j) row[k] += 1;
                sum += sum_of_squares(R.columns, row, 1.0);
            }
            squares_[static_cast<std::size_t>(i * blocks_.count + j)] = sum;
        });
        for_each_tile(true, [&](Index i, Index j) {
            const Matrix<double> lower = tile(R_, i, j), upper = tile(R_, j, i);
            constexpr Index block = 16;  // reads rows and columns: a block of both fits the first-level cache
            double sum = 0;
            for (Index kb = 0; kb < lower.rows; kb += block)
                for (Index lb = 0; lb < lower.columns; lb += block)
                    for (Index k = kb; k < std::min(kb + block, lower.rows); ++k)
                        for (Index l = lb; l < std::min(lb + block, lower.columns); ++l)
                            sum += lower(k, l) * upper(l, k);
            traces_[static_cast<std::size_t>(i * blocks_.count + j)] = i == j ? sum : 2 * sum;
        });
    }

    static double sum_of(const std::vector<double>& tiles) {
        double sum = 0;
        for (const double of_tile : tiles) sum += of_tile;
        return sum;
    }

    /// X <- X + X R, rounded to T.
    void step() {
        for_each_tile(true, [&](Index i, Index j) {
            const Matrix<double> next = tile(next_, i, j), X = tile(X_, i, j);
            multiply(queue_.micro(), rows(X_, i), columns(R_, j), next);
            for (Index k = 0; k < next.rows; ++k)
                for (Index l = 0; l < next.columns; ++l)
                    next(k, l) = static_cast<double>(static_cast<T>(X(k, l) + next(k, l)));
        });
        mirror(queue_.micro(), n_, next_, n_);
        std::swap(X_, next_);
    }

    const Queue& queue_;
    const NewtonInverse<T>& task_;
    const Index b_, n_;
    const EvenParts blocks_;
    Scratch<NewtonSteps> scratch_;
    double *A_, *X_, *next_, *R_;
    std::vector<double> squares_, traces_;
};

}  // namespace

template <class T>
void newton_inverse(const Queue& queue, std::span<const NewtonInverse<T>> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Stack<const T>& C = group[t].C;
        const double cost = 5000 + cost_of_products<double>(4, C.rows, C.rows, C.rows);
        if (C.rows < large) Queue::append_batches(items, t, C.batch, cost);
        for (Index b = 0; C.rows >= large && b < C.batch; ++b) NewtonSteps<T>(queue, group[t], b).run();
    }
    queue.run(items, [&](const Item& item) {
        for (Index b = item.first; b < item.first + item.count; ++b) NewtonSteps<T>(queue, group[item.task], b).run();
    });
}

template void newton_inverse(const Queue&, std::span<const NewtonInverse<float>>);
template void newton_inverse(const Queue&, std::span<const NewtonInverse<double>>);

}  // namespace curvblas::cpu
