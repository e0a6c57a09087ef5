// One damped inverse by one block of threads: the ladder, the residual, the statuses of damped_inverse.h.
#pragma once

#include "core/probe.h"
#include "cuda/blocked.cuh"
#include "cuda/symmetric.cuh"
#include "kernels/damped_inverse.h"
#include "kernels/jitter_ladder.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr int inverse_threads = 256;
constexpr double retry_residual = 1e-3;              // above it, a float32 inverse is tried again in float64
constexpr double surely_below = residual_bound / 4;  // an estimate below this needs no second look
constexpr int look_at_all_columns = 64;              // up to this order; beyond it sixteen more probes
template <class T>
constexpr double epsilon = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;

struct Report {
    Status status;
    double jitter, residual, log_det;
    int minor;
};
__device__ inline Report failed(Status status, int minor = 0) { return {status, NAN, NAN, NAN, minor}; }

/// What a vendor's Cholesky factorisation told.
struct Prepared {
    double log_det;
    int minor;
};

/// What all blocks keep in shared memory before the workspace.
struct alignas(16) Shared {
    double staging[BlockedMatrix<double>::staging];
    double reduction[most_warps];
    int verdict;
};

/// One matrix of a task, solved by one block of threads. Every method is called by all of them.
template <class T>
class Solver {
  public:
    __device__ Solver(const Matrix<const T>& C, Shared& shared, double* vectors, void* workspace)
        : C_(C),
          n_(static_cast<int>(C.rows)),
          shared_(shared),
          z_(vectors),
          y_(vectors + n_),
          r_(vectors + 2 * n_),
          workspace_(workspace) {}

    /// `prepared` is null, or what is known of the inverse in T that the workspace holds already.
    __device__ Report solve(double damping, OnFailure on_failure, const Prepared* prepared) {
        if (const int row = first_row_not_finite(C_, reinterpret_cast<int*>(shared_.reduction)))
            return failed(Status::not_finite, row);
        if (!(damping >= 0) || isinf(damping)) return failed(Status::invalid_parameter);
        Report report = prepared ? adopt(*prepared, damping) : attempt<T>(damping, 0);
        if (on_failure != OnFailure::jitter || report.residual <= retry_residual) return report;
        const Report first = report;
        if constexpr (sizeof(T) == 4) report = attempt<double>(damping, 0);
        if (report.status == Status::not_positive_definite) report = climb(damping, report);
        // The minor that a caller is told is that of the matrix as it came.
        if (report.status == Status::not_positive_definite && first.minor) report.minor = first.minor;
        return report;
    }

    __device__ void write(const Matrix<T>& X, const Report& report, OnFailure on_failure) const {
        if (report.status > Status::jittered && on_failure == OnFailure::keep) return;
        const bool computed = !isnan(report.log_det);  // an inaccurate inverse is handed out, with its status
        for_each_element(n_, [&](int i, int j) { X(i, j) = computed ? inverse(i, j) : T(NAN); });
    }

  private:
    template <class F>
    __device__ double sum_over_elements(const F& f) const {
        double sum = 0;
        for_each_element(n_, [&](int i, int j) { sum += f(i, j); });
        return block_sum(sum, shared_.reduction);
    }

    __device__ double factor(int i, int j) const { return static_cast<double>(i < j ? C_(j, i) : C_(i, j)); }
    __device__ T inverse(int i, int j) const {
        const int row = i < j ? j : i, column = i < j ? i : j;
        return wide_ ? static_cast<T>(matrix<double>()(row, column)) : static_cast<T>(matrix<T>()(row, column));
    }
    template <class W>
    __device__ BlockedMatrix<W> matrix() const {
        return {static_cast<W*>(workspace_), reinterpret_cast<W*>(shared_.staging), n_};
    }

    __device__ Report climb(double damping, Report report) {
        const auto add = [](double a, double b) { return a + b; };
        JitterLadder ladder(n_, epsilon<T>, reduce_diagonal(C_, 0.0, add, shared_.reduction), damping);
        while (ladder.has_next() && report.status == Status::not_positive_definite)
            report = attempt<double>(damping, ladder.next());
        return report;
    }

    /// Inverts C + (damping + jitter) I in the precision of `W`; the result stays in the workspace.
    template <class W>
    __device__ Report attempt(double damping, double jitter) {
        const double shift = damping + jitter;
        wide_ = sizeof(W) > sizeof(T);
        BlockedMatrix<W> A = matrix<W>();
        for_each_element(A.order(), [&](int i, int j) {
            const double c = i < n_ && j <= i ? static_cast<double>(C_(i, j)) : 0;
            A(i, j) = static_cast<W>(i < n_ ? (i == j ? c + shift : c) : i == j ? 1 : 0);
        });
        __syncthreads();
        double log_det = 0;
        if (const int minor = A.invert(&shared_.verdict, log_det)) return failed(Status::not_positive_definite, minor);
        return assessed(shift, jitter, log_det);
    }

    __device__ Report adopt(const Prepared& prepared, double damping) {
        if (prepared.minor) return failed(Status::not_positive_definite, prepared.minor);
        return assessed(damping, 0, prepared.log_det);
    }

    /// The report of the inverse that lies in the workspace.
    __device__ Report assessed(double shift, double jitter, double log_det) const {
        const double not_finite = sum_over_elements([&](int i, int j) { return isfinite(inverse(i, j)) ? 0 : 1; });
        if (not_finite > 0) return failed(Status::inaccurate);
        const double estimate = residual(shift);
        // Written as not(<=) so that NaN is inaccurate too.
        const Status status = !(estimate <= residual_bound) ? Status::inaccurate
                              : jitter > 0                  ? Status::jittered
                                                            : Status::ok;
        return {status, jitter, estimate, log_det, 0};
    }

    /// to = M from for the symmetric matrix of elements f(i, j): a warp a row.
    template <class F>
    __device__ void multiply(const F& f, const double* from, double* to) const {
        const int lane = static_cast<int>(threadIdx.x) % warp_size;
        __syncthreads();
        for (int i = static_cast<int>(threadIdx.x) / warp_size; i < n_; i += inverse_threads / warp_size) {
            double sum = 0;
            for (int j = lane; j < n_; j += warp_size) sum = fma(f(i, j), from[j], sum);
            sum = warp_sum(sum);
            if (lane == 0) to[i] = sum;
        }
        __syncthreads();
    }

    /// ||((C + shift I) X - I) z||; leaves X z in y.
    __device__ double residual_of_z(double shift) const {
        multiply([&](int i, int j) { return static_cast<double>(inverse(i, j)); }, z_, y_);
        multiply([&](int i, int j) { return factor(i, j); }, y_, r_);
        return norm([&](int i) { return r_[i] + (shift * y_[i] - z_[i]); });
    }

    /// sqrt(sum_i f(i)^2), scaled by the largest element where squares overflow or vanish, as in LAPACK dlassq.
    template <class F>
    __device__ double norm(const F& f) const {
        const auto sum_of_squares = [&](double scale) {
            double sum = 0;
            for (int i = static_cast<int>(threadIdx.x); i < n_; i += inverse_threads)
                sum += f(i) * scale * (f(i) * scale);
            return block_sum(sum, shared_.reduction);
        };
        const double sum = sum_of_squares(1);
        if (sum > 1e-280 && sum < 1e300) return sqrt(sum);
        double largest = 0;
        for (int i = static_cast<int>(threadIdx.x); i < n_; i += inverse_threads) largest = larger(fabs(f(i)), largest);
        largest = block_reduce(largest, [](double a, double b) { return larger(a, b); }, shared_.reduction);
        if (!(largest > 1e-300) || isinf(largest)) return largest;
        return largest * sqrt(sum_of_squares(1 / largest));
    }
    /// NaN if one of them is.
    __device__ static double larger(double a, double b) { return a > b || isnan(a) ? a : b; }

    template <class F>
    __device__ double frobenius(const F& f) const {
        return norm([&](int i) {  // of row norms, so that the scaling above serves here too
            double largest = 0, sum = 0;
            for (int j = 0; j < n_; ++j) largest = fmax(largest, fabs(f(i, j)));
            if (!(largest > 0)) return largest;
            for (int j = 0; j < n_; ++j) sum += f(i, j) / largest * (f(i, j) / largest);
            return largest * sqrt(sum);
        });
    }

    /// Estimates ||(C + shift I) X - I||, as the contract says.
    __device__ double residual(double shift) const {
        const bool all_columns = n_ <= look_at_all_columns;
        double estimate = 0, squares = 0, length = 1, noise = 0;
        int probes = 2;
        for (int p = 0; p < probes; ++p) {
            // A vector of signs; X z / ||X z||; then unit vectors, or more signs.
            for (int i = static_cast<int>(threadIdx.x); i < n_; i += inverse_threads)
                z_[i] = p == 1                 ? y_[i] / length
                        : p > 1 && all_columns ? (i == p - 2 ? 1.0 : 0.0)
                                               : probe_sign(p < 2 ? 0 : p - 1, i);
            const double size = residual_of_z(shift);
            squares = fma(size, size, squares);
            estimate = larger(size, estimate);
            if (p == 0) length = norm([&](int i) { return y_[i]; });
            if (p != 1) continue;
            // What the rounding of X to T adds has no direction that a single vector is sure to meet, and what the
            // products above are rounded by cannot be told from a residual: the norms bound both.
            const double norms =
                (frobenius([&](int i, int j) { return factor(i, j); }) + shift * sqrt(static_cast<double>(n_))) *
                frobenius([&](int i, int j) { return static_cast<double>(inverse(i, j)); });
            noise = epsilon<double> / 2 * norms;
            if (estimate + noise <= surely_below && epsilon<T> / 2 * norms <= surely_below) return estimate + noise;
            probes += all_columns ? n_ : 16;
            squares = 0;  // from here on, of the columns
        }
        return (all_columns ? sqrt(squares) : estimate) + noise;
    }

    const Matrix<const T> C_;
    const int n_;
    Shared& shared_;
    double *z_, *y_, *r_;
    void* workspace_;
    bool wide_ = false;
};

}  // namespace curvblas::CURVBLAS_BACKEND
