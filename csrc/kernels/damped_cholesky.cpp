#include "kernels/damped_cholesky.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/blas.h"
#include "cpu/cholesky_inverse.h"
#include "cpu/scratch.h"
#include "kernels/jitter_ladder.h"
#include "kernels/power_of_two.h"

namespace curvblas::cpu {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double lost_digits = 1e-3;  // a relative error of a pivot above which float64 is worth its time
constexpr Index small = 256;          // up to here tiles in the second-level cache, above it LAPACK

struct CholeskyReport {
    Status status;
    double jitter, log_det;
    Index minor;
};
constexpr CholeskyReport failed(Status status, Index minor = 0) { return {status, nan, nan, minor}; }

template <class T>
Index first_row_not_finite(const Matrix<const T>& C) {
    for (Index i = 0; i < C.rows; ++i) {
        T sum = 0;  // Inf and NaN times 0 are NaN
        for (Index j = 0; j <= i; ++j) sum += C(i, j) * T(0);
        if (sum != 0) return i + 1;
    }
    return 0;
}

/// One matrix of a task, with the scratch that its attempts need.
template <class T>
class Factoriser {
  public:
    Factoriser(const Micro& micro, Index n, bool ladder) : micro_(micro), n_(n), scratch_(bytes_for(n, ladder)) {
        narrow_ = scratch_.template take<T>(n * n);
        if constexpr (sizeof(T) == 8)
            wide_ = narrow_;
        else if (ladder)
            wide_ = scratch_.template take<double>(n * n);
    }

    CholeskyReport factorise(const Matrix<const T>& C, double damping, OnFailure on_failure) {
        if (const Index row = first_row_not_finite(C)) return failed(Status::not_finite, row);
        if (!(damping >= 0) || std::isinf(damping)) return failed(Status::invalid_parameter);
        double largest = damping;
        for (Index i = 0; i < n_; ++i) largest = std::max(largest, std::abs(static_cast<double>(C(i, i))));
        half_exponent_ = half_exponent_of(largest);
        CholeskyReport report = attempt(narrow_, C, damping, 0);
        const bool settled = report.status == Status::ok && smallest_pivot_ * lost_digits >= epsilon;
        if (on_failure != OnFailure::jitter || settled) return report;
        const CholeskyReport first = report;
        if constexpr (sizeof(T) == 4) report = attempt(wide_, C, damping, 0);
        if (report.status == Status::not_positive_definite) report = climb(C, damping, report);
        // The minor that a caller is told is that of the matrix as it came.
        if (report.status == Status::not_positive_definite && first.minor) report.minor = first.minor;
        return report;
    }

    void write(const Matrix<T>& L, const CholeskyReport& report, OnFailure on_failure) const {
        const bool usable = report.status <= Status::jittered;
        if (!usable && on_failure == OnFailure::keep) return;
        if (!usable)
            fill(L, static_cast<T>(nan));
        else if (in_wide_)
            write_from(wide_, L);
        else
            write_from(narrow_, L);
    }

  private:
    static constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    static Index bytes_for(Index n, bool ladder) {
        return bytes<T>(n * n) + (ladder && sizeof(T) == 4 ? bytes<double>(n * n) : 0);
    }
    static void fill(const Matrix<T>& L, T value) {
        for (Index i = 0; i < L.rows; ++i)
            for (Index j = 0; j < L.columns; ++j) L(i, j) = value;
    }

    CholeskyReport climb(const Matrix<const T>& C, double damping, CholeskyReport report) {
        double size = 0;
        for (Index i = 0; i < n_; ++i) size += std::abs(static_cast<double>(C(i, i)));
        JitterLadder ladder(n_, epsilon, size, damping);
        while (ladder.has_next() && report.status == Status::not_positive_definite)
            report = attempt(wide_, C, damping, ladder.next());
        return report;
    }

    /// Element (i, j), i >= j, of the factor in scratch: small ones are kept transposed, because tiles make rows of
    /// L^T.
    template <class W>
    W& at(W* A, Index i, Index j) const {
        return n_ <= small ? A[j * n_ + i] : A[i * n_ + j];
    }

    /// Factorises C + (damping + jitter) I, scaled, in the precision of W.
    template <class W>
    CholeskyReport attempt(W* A, const Matrix<const T>& C, double damping, double jitter) {
        in_wide_ = sizeof(W) > sizeof(T);
        const double scale = power_of_two(-2 * half_exponent_);
        for (Index i = 0; i < n_; ++i)
            for (Index j = 0; j <= i; ++j) at(A, i, j) = static_cast<W>(static_cast<double>(C(i, j)) * scale);
        const double shift = (damping + jitter) * scale;
        const auto shifted = [&](Index i) { return static_cast<double>(C(i, i)) * scale + shift; };
        for (Index i = 0; i < n_; ++i) at(A, i, i) = static_cast<W>(shifted(i));
        const Index minor = n_ <= small ? factor_small(A) : blas::cholesky_lower(n_, A);
        if (minor) return failed(Status::not_positive_definite, minor);

        double log_det = 2 * static_cast<double>(n_) * half_exponent_ * std::log(2.0);
        smallest_pivot_ = 1;
        for (Index i = 0; i < n_; ++i) {
            const auto root = static_cast<double>(at(A, i, i));
            // LAPACK lets a NaN pass that an overflow made of finite numbers.
            if (!(root > 0) || std::isinf(root)) return failed(Status::not_positive_definite, i + 1);
            if (!(unscaled(root) > 0)) return failed(Status::inaccurate);
            log_det += 2 * std::log(root);
            smallest_pivot_ = std::min(smallest_pivot_, root * root / shifted(i));
        }
        return {jitter > 0 ? Status::jittered : Status::ok, jitter, log_det, 0};
    }

    template <class W>
    Index factor_small(W* A) const {
        Scratch<CholeskyInverse<W>> scratch(CholeskyInverse<W>::bytes(micro_, n_));
        CholeskyInverse<W> cholesky(micro_, n_, scratch);
        cholesky.load_negative_upper(
            [&](Index i, W* row) { std::transform(A + i * n_ + i, A + (i + 1) * n_, row, [](W x) { return -x; }); });
        double log_det = 0;
        const Index minor = cholesky.factor_alone(log_det);
        for (Index i = 0; i < n_ && !minor; ++i)
            std::copy_n(cholesky.upper_factor() + i * cholesky.stride() + i, n_ - i, A + i * n_ + i);
        return minor;
    }

    T unscaled(double x) const { return static_cast<T>(x * power_of_two(half_exponent_)); }

    template <class W>
    void write_from(const W* A, const Matrix<T>& L) const {
        for (Index i = 0; i < n_; ++i) {
            for (Index j = 0; j <= i; ++j) L(i, j) = unscaled(static_cast<double>(at(A, i, j)));
            for (Index j = i + 1; j < n_; ++j) L(i, j) = 0;
        }
    }

    const Micro& micro_;
    const Index n_;
    Scratch<Factoriser> scratch_;
    T* narrow_;
    double* wide_ = nullptr;
    int half_exponent_ = 0;
    double smallest_pivot_ = 1;  // relative to what its diagonal element was
    bool in_wide_ = false;
};

}  // namespace

template <class T>
void damped_cholesky(const Queue& queue, std::span<const DampedCholesky<T>> group, OnFailure on_failure) {
    blas::stay_on_one_thread();
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto n = static_cast<double>(group[t].C.rows);
        Queue::append_batches(items, t, group[t].C.batch, 1000 + n * n * (20 + n / 3));
    }
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        Factoriser<T> factoriser(queue.micro(), task.C.rows, on_failure == OnFailure::jitter);
        for (Index b = item.first; b < item.first + item.count; ++b) {
            const CholeskyReport report = factoriser.factorise(task.C[b], task.damping[b], on_failure);
            factoriser.write(task.L[b], report, on_failure);
            task.reports.status[b] = report.status, task.reports.minor[b] = report.minor;
            task.reports.jitter[b] = report.jitter, task.reports.log_det[b] = report.log_det;
        }
    });
}

template void damped_cholesky(const Queue&, std::span<const DampedCholesky<float>>, OnFailure);
template void damped_cholesky(const Queue&, std::span<const DampedCholesky<double>>, OnFailure);

}  // namespace curvblas::cpu
