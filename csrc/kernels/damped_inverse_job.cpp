#include "kernels/damped_inverse_job.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/probe.h"
#include "cpu/norm.h"

namespace curvblas::cpu {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double retry_residual = 1e-3;              // above it, a float32 inverse is tried again in float64
constexpr double surely_below = residual_bound / 4;  // an estimate below this needs no second look
constexpr Index look_at_all_columns = 64;            // up to this order; beyond it further probes
template <class T>
constexpr double half_unit = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;

constexpr InverseReport failed(Status status, Index minor = 0) { return {status, nan, nan, nan, minor}; }

/// sqrt(squares(1)), scaled where squares overflow or vanish, as in LAPACK dlassq; `largest` finds the largest element.
template <class Squares, class Largest>
double scaled_norm(double sum, const Squares& squares, const Largest& largest) {
    if (sum > 1e-280 && sum < 1e300) return std::sqrt(sum);
    const double size = largest();
    if (!(size > 1e-300) || std::isinf(size)) return size;
    return size * std::sqrt(squares(1 / size));
}

template <class T>
Index first_row_not_finite(Index n, const T* A, Index ld) {
    for (Index i = 0; i < n; ++i)
        if (!std::all_of(A + i * ld, A + i * ld + i + 1, [](T x) { return std::isfinite(x); })) return i + 1;
    return 0;
}

}  // namespace

template <class T>
InverseJob<T>::InverseJob(const Micro& micro, const DampedInverse<T>& task, Index matrix, OnFailure on_failure,
                          std::byte* workspace)
    : micro_(micro),
      task_(task),
      matrix_(matrix),
      n_(task.C.rows),
      row_parts_((n_ + rows_per_part - 1) / rows_per_part),
      on_failure_(on_failure),
      damping_(task.damping[matrix]),
      is_direct_(task.X.column_stride == 1 && on_failure != OnFailure::keep),
      workspace_(workspace) {}

// Step by step

template <class T>
bool InverseJob<T>::next() {
    if (!is_started_) {
        is_started_ = true;
        squares_of_rows_.assign(static_cast<std::size_t>(row_parts_), 0);
        const Matrix<const T> C = task_.C[matrix_];
        A_ = C.data, lda_ = C.row_stride;
        if (C.column_stride != 1) {
            T* const copy = reinterpret_cast<T*>(copy_of_A_.reserve(cpu::bytes<T>(n_ * n_)));
            for (Index i = 0; i < n_; ++i)
                for (Index j = 0; j <= i; ++j) copy[i * n_ + j] = C(i, j);
            A_ = copy, lda_ = n_;
        }
        return true;
    }
    switch (step_) {
        case Step::look:
            return looked();
        case Step::invert:
            return next_of_attempt();
        default:
            return probed();
    }
}

template <class T>
Index InverseJob<T>::parts() const {
    if (step_ != Step::invert) return row_parts_;
    return wide_ ? wide_inverse_->parts() : narrow_inverse_->parts();
}

template <class T>
double InverseJob<T>::cost(Index part) const {
    if (step_ == Step::invert) return wide_ ? wide_inverse_->cost(part) : narrow_inverse_->cost(part);
    return 4.0 * static_cast<double>(end(part)) * rows_per_part;
}

template <class T>
void InverseJob<T>::work(Index part) {
    const auto& small = micro_.small<T>();
    if (step_ == Step::invert) return wide_ ? wide_inverse_->work(part) : narrow_inverse_->work(part);
    if (step_ == Step::look) {
        squares_of_rows_[static_cast<std::size_t>(part)] = small.symmetric_squares(begin(part), end(part), A_, lda_, 1);
        return;
    }
    const bool of_X = step_ == Step::probe_X;
    double* const product = products_.data() + part * n_;
    std::fill_n(product, end(part), 0.0);
    small.add_symmetric_product(begin(part), end(part), of_X ? X_ : A_, of_X ? ldx_ : lda_,
                                of_X ? z_.data() : y_.data(), product);
    if (of_X && probe_ == 0)
        squares_of_rows_[static_cast<std::size_t>(part)] = small.symmetric_squares(begin(part), end(part), X_, ldx_, 1);
}

/// The norm of a symmetric matrix from the sum of its squares.
template <class T>
double InverseJob<T>::norm(const T* A, Index ld, double squares) const {
    const auto scaled = [&](double scale) { return micro_.small<T>().symmetric_squares(0, n_, A, ld, scale); };
    const auto largest = [&] {
        double size = 0;
        for (Index i = 0; i < n_; ++i)
            for (Index j = 0; j <= i; ++j) {
                const double element = std::abs(static_cast<double>(A[i * ld + j]));
                size = element <= size ? size : element;  // NaN wins
            }
        return size;
    };
    return scaled_norm(squares, scaled, largest);
}

template <class T>
double InverseJob<T>::sum_of_squares() const {
    double sum = 0;
    for (const double squares : squares_of_rows_) sum += squares;
    return sum;
}

template <class T>
bool InverseJob<T>::looked() {
    const double squares = sum_of_squares();
    if (!std::isfinite(squares))
        if (const Index row = first_row_not_finite(n_, A_, lda_)) return finish(failed(Status::not_finite, row));
    if (!(damping_ >= 0) || std::isinf(damping_)) return finish(failed(Status::invalid_parameter));
    norm_A_ = norm(A_, lda_, squares);
    z_.resize(static_cast<std::size_t>(n_)), y_.resize(z_.size());
    products_.resize(static_cast<std::size_t>(row_parts_ * n_));
    if (is_direct_)
        X_ = task_.X[matrix_].data, ldx_ = task_.X.row_stride;
    else
        X_ = reinterpret_cast<T*>(copy_of_X_.reserve(cpu::bytes<T>(n_ * n_))), ldx_ = n_;
    attempt(false, 0);
    return next_of_attempt();
}

// Attempts

template <class T>
void InverseJob<T>::attempt(bool wide, double jitter) {
    wide_ = wide && !std::is_same_v<T, double>, jitter_ = jitter, step_ = Step::invert;
    if (wide_) {
        wide_inverse_.emplace(micro_, n_);
        wide_inverse_->start(A_, lda_, shift(), wide_workspace_.reserve(wide_inverse_->bytes()), X_, ldx_);
    } else {
        narrow_inverse_.emplace(micro_, n_);
        narrow_inverse_->start(A_, lda_, shift(), workspace_, X_, ldx_);
    }
}

template <class T>
bool InverseJob<T>::next_of_attempt() {
    if (wide_ ? wide_inverse_->next() : narrow_inverse_->next()) return true;
    const Index minor = wide_ ? wide_inverse_->minor() : narrow_inverse_->minor();
    if (minor) return attempted(failed(Status::not_positive_definite, minor));
    probe_ = 0, probes_ = 2, estimate_ = 0;
    begin_probe();
    return true;
}

/// Climbs on, or ends.
template <class T>
bool InverseJob<T>::attempted(const InverseReport& report) {
    const bool is_first = !std::exchange(has_failed_, true);
    if (is_first) first_minor_ = report.minor;
    if (on_failure_ != OnFailure::jitter || report.residual <= retry_residual) return finish(report);
    if (is_first && sizeof(T) == 4) {
        attempt(true, 0);
        return next_of_attempt();
    }
    if (report.status != Status::not_positive_definite) return finish(report);
    if (!ladder_) {
        double diagonal = 0;
        for (Index i = 0; i < n_; ++i) diagonal += std::abs(static_cast<double>(A_[i * lda_ + i]));
        ladder_.emplace(n_, 2 * half_unit<T>, diagonal, damping_);
    }
    if (!ladder_->has_next()) {
        // The minor that a caller is told is that of the matrix as it came.
        return finish(failed(Status::not_positive_definite, first_minor_ ? first_minor_ : report.minor));
    }
    attempt(true, ladder_->next());
    return next_of_attempt();
}

// The residual

template <class T>
void InverseJob<T>::begin_probe() {
    step_ = Step::probe_X;
    const auto n = static_cast<std::size_t>(n_);
    if (probe_ == 1) {  // one step of inverse iteration
        const double length = cpu::norm(n_, y_.data());
        for (std::size_t i = 0; i < n; ++i) z_[i] = y_[i] / length;
    } else if (probes_ > 2 && n_ <= look_at_all_columns) {
        for (std::size_t i = 0; i < n; ++i) z_[i] = static_cast<Index>(i) == probe_ - 2;
    } else {
        for (std::size_t i = 0; i < n; ++i) z_[i] = probe_sign(std::max<Index>(probe_ - 1, 0), static_cast<Index>(i));
    }
}

/// Element i of the product whose parts the rows have left; a row adds to the elements up to its own.
template <class T>
double InverseJob<T>::sum_of_parts(Index i) const {
    double sum = 0;
    for (Index part = i / rows_per_part; part < row_parts_; ++part)
        sum += products_[static_cast<std::size_t>(part * n_ + i)];
    return sum;
}

template <class T>
bool InverseJob<T>::probed() {
    if (step_ == Step::probe_X) {
        for (Index i = 0; i < n_; ++i) y_[static_cast<std::size_t>(i)] = sum_of_parts(i);
        if (probe_ == 0) {
            const double norm_X = norm(X_, ldx_, sum_of_squares());
            if (!std::isfinite(norm_X)) return attempted(failed(Status::inaccurate));
            norms_ = (norm_A_ + shift() * std::sqrt(static_cast<double>(n_))) * norm_X;
        }
        step_ = Step::probe_A;
        return true;
    }
    for (Index i = 0; i < n_; ++i) {
        const auto k = static_cast<std::size_t>(i);
        z_[k] = sum_of_parts(i) + (shift() * y_[k] - z_[k]);
    }
    const double size = cpu::norm(n_, z_.data());
    const bool by_columns = probes_ > 2 && n_ <= look_at_all_columns;
    if (by_columns)
        squares_ += size * size;
    else if (size > estimate_ || std::isnan(size))
        estimate_ = size;  // once NaN, always NaN
    if (++probe_ < probes_) {
        begin_probe();
        return true;
    }
    return assessed();
}

template <class T>
bool InverseJob<T>::assessed() {
    // What the rounding of X to T adds has no direction that a single vector is sure to meet, and what the products
    // are rounded by cannot be told from a residual: the norms bound both.
    const double rounding = half_unit<T> * norms_, noise = half_unit<double> * norms_;
    if (probes_ == 2 && !(estimate_ + noise <= surely_below && rounding <= surely_below)) {
        probes_ += n_ <= look_at_all_columns ? n_ : further_probes;
        squares_ = 0;
        begin_probe();
        return true;
    }
    if (probes_ > 2 && n_ <= look_at_all_columns) estimate_ = std::sqrt(squares_);
    const double residual = estimate_ + noise;
    // Written as not(<=) so that NaN is inaccurate too.
    const Status status = !(residual <= residual_bound) ? Status::inaccurate
                          : jitter_ > 0                 ? Status::jittered
                                                        : Status::ok;
    const double log_det = wide_ ? wide_inverse_->log_det() : narrow_inverse_->log_det();
    return attempted({status, jitter_, residual, log_det, 0});
}

template <class T>
bool InverseJob<T>::finish(const InverseReport& report) {
    report.store(task_.reports.from(matrix_));
    if (report.status > Status::jittered && on_failure_ == OnFailure::keep) return false;
    const bool is_computed = !std::isnan(report.log_det);  // an inaccurate inverse is handed out, with its status
    if (is_computed && is_direct_) return false;
    const Matrix<T> X = task_.X[matrix_];
    for (Index i = 0; i < n_; ++i)
        for (Index j = 0; j < n_; ++j) X(i, j) = is_computed ? X_[i * ldx_ + j] : static_cast<T>(nan);
    return false;
}

template class InverseJob<float>;
template class InverseJob<double>;

}  // namespace curvblas::cpu
