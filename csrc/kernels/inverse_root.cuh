// What both methods of inverse roots need on a device: their table of problems, symmetric products, and the
// certificate. All of it is done in float64.
#pragma once

#include "core/probe.h"
#include "cuda/products.cuh"
#include "cuda/symmetric.cuh"
#include "kernels/inverse_root.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr int root_threads = 256;
constexpr double surely_below = residual_bound / 4;  // an estimate below this needs no second look
constexpr int look_at_all_columns = 64;              // up to this order; beyond it sixteen more probes
template <class T>
constexpr double half_unit = sizeof(T) == 4 ? 0x1p-24 : 0x1p-53;

/// One matrix, and where its working memory begins: n x n matrices, and 4 n for vectors; all counted in doubles.
struct Problem {
    static constexpr int most_slots = 7;
    int task, b;
    Index n, slot[most_slots], vectors;
};

/// What an iteration knows of one matrix. It has no padding, which nobody would write and copies would read.
struct RootState {
    double scale, error;
    Index which;  ///< the slot of X
    int done, status;
};

/// Slot `to` = slot `a` (slot `b`)^T, which is symmetric: a tile of it and its mirror image. `states` may be null.
__global__ void __launch_bounds__(Tile<double>::threads, Tile<double>::resident)
    multiply_symmetric(const Problem* problems, const TileOf* tiles, double* memory, const RootState* states, int a,
                       int b, int to) {
    const TileOf tile = tiles[blockIdx.x];
    const Problem& problem = problems[tile.problem];
    if (states && states[tile.problem].done) return;
    const Index n = problem.n;
    double* const product = memory + problem.slot[to];
    product_tile(Matrix<const double>{memory + problem.slot[a], n, n, n, 1},
                 Matrix<const double>{memory + problem.slot[b], n, n, 1, n}, tile.i, tile.j,
                 [&](Index i, Index j, double sum) {
                     if (j <= i) product[i * n + j] = product[j * n + i] = sum;
                 });
}

/// NaN if one of them is.
__device__ inline double larger(double a, double b) { return a > b || isnan(a) ? a : b; }

/// The residual of one root, as the contract says, by one block of threads. X is read rounded to T.
template <class T>
class RootResidual {
  public:
    /// `vectors` holds 3 n, `shared` most_warps.
    __device__ RootResidual(const Matrix<const T>& C, double shift, const double* X, Index p, double* vectors,
                            double* shared)
        : C_(C),
          X_(X),
          n_(static_cast<int>(C.rows)),
          p_(p),
          shift_(shift),
          z_(vectors),
          y_(z_ + n_),
          r_(y_ + n_),
          shared_(shared) {
        const double size = norm_bound([&](int i, int j) { return factor(i, j); }) + shift;
        // (A / size) (X size^(1/p))^p is A X^p, and nothing in between overflows that does not have to.
        scale_ = size > 0 ? fmin(1 / size, 1e300) : 1;
        root_scale_ = pow(scale_, -1 / static_cast<double>(p));
        norms_ = size * scale_ *
                 pow(norm_bound([&](int i, int j) { return root(i, j); }) * root_scale_, static_cast<double>(p));
    }

    __device__ double estimate() const {
        const bool all_columns = n_ <= look_at_all_columns;
        const double steps = static_cast<double>(p_) * norms_, noise = steps * half_unit<double>;
        double largest = 0, squares = 0, length = 1;
        int probes = 2;
        for (int probe = 0; probe < probes; ++probe) {
            // A vector of signs; X^p z / ||X^p z||; then unit vectors, or more signs.
            for (int i = static_cast<int>(threadIdx.x); i < n_; i += root_threads)
                z_[i] = probe == 1                 ? y_[i] / length
                        : probe > 1 && all_columns ? (i == probe - 2 ? 1.0 : 0.0)
                                                   : probe_sign(probe < 2 ? 0 : probe - 1, i);
            const double size = residual_of_z();
            squares = fma(size, size, squares);
            largest = larger(size, largest);
            if (probe == 0) length = norm(y_);
            if (probe != 1) continue;
            if (largest + noise <= surely_below && steps * half_unit<T> <= surely_below) return largest + noise;
            probes += all_columns ? n_ : 16;
            squares = 0;  // from here on, of the columns
        }
        return (all_columns ? sqrt(squares) : largest) + noise;
    }

  private:
    __device__ double factor(int i, int j) const { return static_cast<double>(i < j ? C_(j, i) : C_(i, j)); }
    __device__ double root(int i, int j) const { return static_cast<double>(static_cast<T>(X_[Index{i} * n_ + j])); }

    /// to = scale M from for the symmetric matrix of elements f(i, j): a warp a row.
    template <class F>
    __device__ void multiply(const F& f, double scale, const double* from, double* to) const {
        const int lane = static_cast<int>(threadIdx.x) % warp_size;
        __syncthreads();
        for (int i = static_cast<int>(threadIdx.x) / warp_size; i < n_; i += root_threads / warp_size) {
            double sum = 0;
            for (int j = lane; j < n_; j += warp_size) sum = fma(f(i, j), from[j], sum);
            sum = warp_sum(sum);
            if (lane == 0) to[i] = scale * sum;
        }
        __syncthreads();
    }

    /// ||(A X^p - I) z||; leaves X^p z, scaled, in y.
    __device__ double residual_of_z() const {
        const auto x = [&](int i, int j) { return root(i, j); };
        double *to = p_ % 2 ? y_ : r_, *other = p_ % 2 ? r_ : y_;
        multiply(x, root_scale_, z_, to);
        for (Index k = 1; k < p_; ++k) {  // ends in y
            multiply(x, root_scale_, to, other);
            double* const swapped = to;
            to = other, other = swapped;
        }
        multiply([&](int i, int j) { return factor(i, j); }, scale_, y_, r_);
        for (int i = static_cast<int>(threadIdx.x); i < n_; i += root_threads) r_[i] += shift_ * scale_ * y_[i] - z_[i];
        return norm(r_);
    }

    __device__ double norm(const double* x) const {
        double largest = 0, sum = 0;
        for (int i = static_cast<int>(threadIdx.x); i < n_; i += root_threads) largest = larger(fabs(x[i]), largest);
        largest = block_reduce(largest, [](double a, double b) { return larger(a, b); }, shared_);
        if (!(largest > 1e-300) || isinf(largest)) return largest;
        for (int i = static_cast<int>(threadIdx.x); i < n_; i += root_threads)
            sum = fma(x[i] / largest, x[i] / largest, sum);
        return largest * sqrt(block_sum(sum, shared_));
    }

    /// An upper bound of the spectral norm: the largest sum of magnitudes of a row, or the Frobenius norm.
    template <class F>
    __device__ double norm_bound(const F& f) const {
        const int lane = static_cast<int>(threadIdx.x) % warp_size;
        double largest_sum = 0, largest = 0, squares = 0;
        for (int i = static_cast<int>(threadIdx.x) / warp_size; i < n_; i += root_threads / warp_size) {
            double sum = 0;
            for (int j = lane; j < n_; j += warp_size) sum += fabs(f(i, j)), largest = fmax(largest, fabs(f(i, j)));
            largest_sum = fmax(largest_sum, warp_sum(sum));
        }
        const auto most = [](double a, double b) { return fmax(a, b); };
        largest_sum = block_reduce(largest_sum, most, shared_);
        largest = block_reduce(largest, most, shared_);
        if (!(largest > 1e-300)) return largest_sum;
        for_each_element(n_, [&](int i, int j) { squares = fma(f(i, j) / largest, f(i, j) / largest, squares); });
        return fmin(largest_sum, largest * sqrt(block_sum(squares, shared_)));
    }

    const Matrix<const T> C_;
    const double* X_;
    const int n_;
    const Index p_;
    const double shift_;
    double *z_, *y_, *r_, *shared_;
    double scale_, root_scale_, norms_;
};

/// The root that lies in a slot becomes the result, with its status and residual: a block of threads a matrix. A status
/// that is not ok already stays.
template <class T>
__global__ void __launch_bounds__(root_threads, 1)
    judge_root(const InverseRoot<T>* tasks, const Problem* problems, double* memory, Index p, int slot) {
    const Problem& problem = problems[blockIdx.x];
    const InverseRoot<T> task = tasks[problem.task];
    const int n = static_cast<int>(problem.n);
    const double* const X = memory + problem.slot[slot];
    double* const shared = dynamic_shared<double>();
    Status status = task.reports.status[problem.b];
    double residual = NAN;
    if (status == Status::ok) {
        double not_finite = 0;
        for_each_element(n, [&](int i, int j) { not_finite += isfinite(static_cast<T>(X[Index{i} * n + j])) ? 0 : 1; });
        if (block_sum(not_finite, shared) > 0) {
            status = Status::inaccurate;
        } else {
            residual =
                RootResidual<T>(task.C[problem.b], task.damping[problem.b], X, p, memory + problem.vectors, shared)
                    .estimate();
            // Written as not(<=) so that NaN is inaccurate too.
            if (!(residual <= residual_bound)) status = Status::inaccurate;
        }
    }
    const Matrix<T> to = task.X[problem.b];
    for_each_element(n,
                     [&](int i, int j) { to(i, j) = isnan(residual) ? T(NAN) : static_cast<T>(X[Index{i} * n + j]); });
    __syncthreads();  // all have read the status
    if (threadIdx.x > 0) return;
    task.reports.status[problem.b] = status, task.reports.residual[problem.b] = residual;
}

}  // namespace curvblas::CURVBLAS_BACKEND
