#include "kernels/damped_inverse.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "cpu/blas.h"
#include "cpu/scratch.h"
#include "kernels/jitter_ladder.h"

namespace curvblas::cpu {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double retry_residual = 1e-3;              // above it, a float32 inverse is tried again in float64
constexpr double surely_below = residual_bound / 4;  // an estimate below this needs no second look
// Up to here plain loops, above it the BLAS for all but the diagonal blocks (float32: n = 64 in 34 us, n = 65 in 41
// us).
constexpr Index small = 64;
template <class T>
constexpr double half_unit = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
/// One entry of the reports.
struct InverseReport {
    Status status;
    double jitter, residual, log_det;
    Index minor;
};
constexpr InverseReport failed(Status status, Index minor = 0) { return {status, nan, nan, nan, minor}; }

/// Mirrors the lower triangle of A into the upper one, or the upper one into the lower.
template <bool from_lower, class T>
void mirror(Index n, T* A) {
    constexpr Index block = 16;  // reads rows and writes columns: a block of both fits the first-level cache
    for (Index ib = 0; ib < n; ib += block)
        for (Index jb = 0; jb <= ib; jb += block)
            for (Index i = ib; i < std::min(ib + block, n); ++i)
                for (Index j = jb; j < std::min(jb + block, i); ++j) {
                    T &lower = A[i * n + j], &upper = A[j * n + i];
                    from_lower ? upper = lower : lower = upper;
                }
}

/// A full, contiguous, exactly symmetric copy of one matrix, from its lower triangle.
template <class T>
void load(const Matrix<const T>& C, T* A) {
    const Index n = C.rows;
    for (Index i = 0; i < n; ++i) {
        if (C.column_stride == 1)
            std::copy_n(C.row(i), i + 1, A + i * n);
        else
            for (Index j = 0; j <= i; ++j) A[i * n + j] = C(i, j);
    }
    mirror<true>(n, A);
}

template <class T>
bool is_finite(const Micro& micro, Index n, const T* x) {
    if constexpr (sizeof(T) == 4) return micro.finite_32(n, reinterpret_cast<const std::uint32_t*>(x));
    return micro.finite_64(n, reinterpret_cast<const std::uint64_t*>(x));
}

template <class T>
Index first_row_not_finite(const Micro& micro, Index n, const T* A) {
    for (Index i = 0; i < n; ++i)
        if (!is_finite(micro, i + 1, A + i * n)) return i + 1;
    return 0;
}

/// Where a triangle is cut in two: the halves' sizes are multiples of `small` but for the last.
Index first_half(Index n) { return (n / 2 + small - 1) / small * small; }

/// U <- U^-1 by halves: the off-diagonal block becomes -U11^-1 U12 U22^-1. LAPACK's potri works column by column within
/// its blocks: at n = 256 that was half of the instructions of the whole inverse.
template <class W>
void invert_triangle(const Micro& micro, Index n, W* U, Index ld, W* work) {
    if (n <= small) return micro.small<W>().invert_triangle(n, U, ld, work);
    const Index n1 = first_half(n), n2 = n - n1;
    W *const U12 = U + n1, *const U22 = U + n1 * ld + n1;
    invert_triangle(micro, n1, U, ld, work);
    invert_triangle(micro, n2, U22, ld, work);
    blas::multiply_triangle_left(n1, n2, W(-1), U, U12, ld);
    blas::multiply_triangle_right(n1, n2, U22, false, U12, ld);
}

/// U <- U U^T by halves.
template <class W>
void multiply_by_transpose(const Micro& micro, Index n, W* U, Index ld, W* work) {
    if (n <= small) return micro.small<W>().multiply_by_transpose(n, U, ld, work);
    const Index n1 = first_half(n), n2 = n - n1;
    W *const U12 = U + n1, *const U22 = U + n1 * ld + n1;
    multiply_by_transpose(micro, n1, U, ld, work);
    blas::add_square(n1, n2, U12, U, ld);
    blas::multiply_triangle_right(n1, n2, U22, true, U12, ld);
    multiply_by_transpose(micro, n2, U22, ld, work);
}

/// The matrix of one attempt, A + shift I, is replaced by the upper triangle of its inverse; `work` holds small^2.
template <class W>
Index invert(const Micro& micro, Index n, W* A, W* work, double& log_det) {
    const Index minor = n <= small ? micro.small<W>().cholesky(n, A, n) : blas::cholesky(n, A);
    if (minor) return minor;
    log_det = 0;
    for (Index i = 0; i < n; ++i) {
        // LAPACK lets a NaN pass that an overflow made of finite numbers.
        if (!(A[i * n + i] > 0) || std::isinf(A[i * n + i])) return i + 1;
        log_det += 2 * std::log(static_cast<double>(A[i * n + i]));
    }
    invert_triangle(micro, n, A, n, work);
    multiply_by_transpose(micro, n, A, n, work);
    return 0;
}

/// +1 or -1, the same for all sizes, so that a probe does not depend on where a matrix stands.
double sign(std::uint64_t probe, Index i) {
    std::uint64_t h = (static_cast<std::uint64_t>(i) + 1) * 0x9e3779b97f4a7c15u ^ (probe + 1) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 31) * 0x94d049bb133111ebu;
    return h >> 63 ? 1 : -1;
}

template <class T>
double sum_of_squares(Index n, const T* x, double scale) {
    double sum[4] = {};  // one would be a chain of additions that wait for each other
    Index i = 0;
    const auto square = [&](Index j) {
        return static_cast<double>(x[j]) * scale * (static_cast<double>(x[j]) * scale);
    };
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; ++k) sum[k] += square(i + k);
    for (; i < n; ++i) sum[0] += square(i);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

template <class T>
double norm(Index n, const T* x) {
    const double sum = sum_of_squares(n, x, 1.0);
    if (sum > 1e-280 && sum < 1e300) return std::sqrt(sum);
    double largest = 0;  // squares that overflow or vanish: scale by the largest element, as in LAPACK dlassq
    for (Index i = 0; i < n; ++i) largest = std::max(largest, std::abs(static_cast<double>(x[i])));
    if (!(largest > 1e-300) || std::isinf(largest)) return largest;
    return largest * std::sqrt(sum_of_squares(n, x, 1 / largest));
}

/// Estimates ||(A + shift I) X - I|| from products with vectors; `vectors` holds 3 n.
template <class T>
double residual(const Micro& micro, Index n, const T* A, double shift, const T* X, double* vectors) {
    const auto product = micro.small<T>().product;
    double *const z = vectors, *const y = z + n, *const r = y + n;
    const auto residual_of = [&] {  // ||R z||; leaves X z in y
        product(n, X, z, y);
        product(n, A, y, r);
        for (Index i = 0; i < n; ++i) r[i] += shift * y[i] - z[i];
        return norm(n, r);
    };
    double estimate = 0;
    const auto add_probe = [&] {  // the largest so far; once NaN, always NaN
        const double size = residual_of();
        if (size > estimate || std::isnan(size)) estimate = size;
    };
    for (Index i = 0; i < n; ++i) z[i] = sign(0, i);
    add_probe();
    const double length = norm(n, y);
    for (Index i = 0; i < n; ++i) z[i] = y[i] / length;
    add_probe();

    // What the rounding of X to T adds has no direction that a single vector is sure to meet, and what the products
    // above are rounded by cannot be told from a residual: the norms bound both.
    const double norms = (norm(n * n, A) + shift * std::sqrt(static_cast<double>(n))) * norm(n * n, X);
    const double rounding = half_unit<T> * norms, noise = half_unit<double> * norms;
    if (estimate + noise <= surely_below && rounding <= surely_below) return estimate + noise;
    if (n <= small) {
        double squares = 0;
        for (Index column = 0; column < n; ++column) {
            std::fill_n(z, n, 0.0);
            z[column] = 1;
            const double length_of_column = residual_of();
            squares += length_of_column * length_of_column;
        }
        return std::sqrt(squares) + noise;
    }
    for (std::uint64_t probe = 1; probe <= 16; ++probe) {
        for (Index i = 0; i < n; ++i) z[i] = sign(probe, i);
        add_probe();
    }
    return estimate + noise;
}

/// One matrix of a task, with the scratch that its attempts need.
template <class T>
class Solver {
  public:
    Solver(const Micro& micro, Index n, bool ladder) : micro_(micro), n_(n), scratch_(bytes(n, ladder)) {
        A_ = scratch_.template take<T>(n * n);
        X_ = scratch_.template take<T>(n * n);
        work_ = scratch_.template take<double>(small * small);
        vectors_ = scratch_.template take<double>(3 * n);
        if constexpr (sizeof(T) == 8)
            wide_ = X_;
        else if (ladder)
            wide_ = scratch_.template take<double>(n * n);
    }

    InverseReport solve(const Matrix<const T>& C, double damping, OnFailure on_failure) {
        load(C, A_);
        if (const Index row = first_row_not_finite(micro_, n_, A_)) return failed(Status::not_finite, row);
        if (!(damping >= 0) || std::isinf(damping)) return failed(Status::invalid_parameter);
        InverseReport report = attempt(X_, damping, 0);
        if (on_failure != OnFailure::jitter || report.residual <= retry_residual) return report;
        const InverseReport first = report;
        if constexpr (sizeof(T) == 4) report = attempt(wide_, damping, 0);
        if (report.status == Status::not_positive_definite) report = climb(damping, report);
        // The minor that a caller is told is that of the matrix as it came.
        if (report.status == Status::not_positive_definite && first.minor) report.minor = first.minor;
        return report;
    }
    const T* inverse() const { return X_; }

  private:
    static Index bytes(Index n, bool ladder) {
        const Index word = static_cast<Index>(sizeof(T));
        return 2 * padded(n * n * word) + padded(small * small * 8) + padded(3 * n * 8) +
               (ladder && sizeof(T) == 4 ? padded(n * n * 8) : 0);
    }

    InverseReport climb(double damping, InverseReport report) {
        double size = 0;
        for (Index i = 0; i < n_; ++i) size += std::abs(static_cast<double>(A_[i * n_ + i]));
        JitterLadder ladder(n_, static_cast<double>(std::numeric_limits<T>::epsilon()), size, damping);
        while (ladder.has_next() && report.status == Status::not_positive_definite)
            report = attempt(wide_, damping, ladder.next());
        return report;
    }

    /// Inverts A + (damping + jitter) I in the precision of `W`; the result is in X, full, with its residual.
    template <class W>
    InverseReport attempt(W* inverse, double damping, double jitter) {
        const double shift = damping + jitter;
        std::copy_n(A_, n_ * n_, inverse);
        for (Index i = 0; i < n_; ++i)
            inverse[i * n_ + i] = static_cast<W>(static_cast<double>(A_[i * n_ + i]) + shift);
        double log_det = 0;
        if (const Index minor = invert(micro_, n_, inverse, reinterpret_cast<W*>(work_), log_det))
            return failed(Status::not_positive_definite, minor);
        if constexpr (!std::is_same_v<T, W>)
            std::transform(inverse, inverse + n_ * n_, X_, [](W x) { return static_cast<T>(x); });
        mirror<false>(n_, X_);
        if (!is_finite(micro_, n_ * n_, X_)) return failed(Status::inaccurate);
        const double estimate = residual(micro_, n_, A_, shift, X_, vectors_);
        // Written as not(<=) so that NaN is inaccurate too.
        const Status status = !(estimate <= residual_bound) ? Status::inaccurate
                              : jitter > 0                  ? Status::jittered
                                                            : Status::ok;
        return {status, jitter, estimate, log_det, 0};
    }

    const Micro& micro_;
    const Index n_;
    Scratch<Solver> scratch_;
    T *A_, *X_;
    double *work_, *vectors_, *wide_ = nullptr;
};

template <class T>
void write(const Matrix<T>& X, const T* inverse, const InverseReport& report, OnFailure on_failure) {
    const bool usable = report.status <= Status::jittered;
    if (!usable && on_failure == OnFailure::keep) return;
    const bool computed = !std::isnan(report.log_det);  // an inaccurate inverse is handed out, with its status
    for (Index i = 0; i < X.rows; ++i) {
        if (computed && X.column_stride == 1)
            std::copy_n(inverse + i * X.columns, X.columns, X.row(i));
        else
            for (Index j = 0; j < X.columns; ++j) X(i, j) = computed ? inverse[i * X.columns + j] : static_cast<T>(nan);
    }
}

}  // namespace

template <class T>
void damped_inverse(const Queue& queue, std::span<const DampedInverse<T>> group, OnFailure on_failure) {
    blas::stay_on_one_thread();
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const double n = static_cast<double>(group[t].C.rows);
        Queue::append_batches(items, t, group[t].C.batch, 2000 + 20 * n * n + n * n * n);
    }
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        Solver<T> solver(queue.micro(), task.C.rows, on_failure == OnFailure::jitter);
        for (Index b = item.first; b < item.first + item.count; ++b) {
            const InverseReport report = solver.solve(task.C[b], task.damping[b], on_failure);
            write(task.X[b], solver.inverse(), report, on_failure);
            task.reports.status[b] = report.status, task.reports.minor[b] = report.minor;
            task.reports.jitter[b] = report.jitter, task.reports.residual[b] = report.residual;
            task.reports.log_det[b] = report.log_det;
        }
    });
}

template void damped_inverse(const Queue&, std::span<const DampedInverse<float>>, OnFailure);
template void damped_inverse(const Queue&, std::span<const DampedInverse<double>>, OnFailure);

}  // namespace curvblas::cpu
