// One eigenbasis by one block of threads: two-sided Jacobi rotations of n / 2 disjoint pairs at a time (Golub and Van
// Loan 2013, section 8.5), and what the contract of eigenbasis.h says of scales, signs and statuses.
#pragma once

#include "cuda/block.cuh"
#include "kernels/eigenbasis.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr int eigen_threads = 256;  // at most
constexpr int most_sweeps = 40;     // random matrices take 6 to 10
template <class T>
constexpr T epsilon = sizeof(T) == 4 ? T(0x1p-23) : T(0x1p-52);

/// A power of two as two factors, because the one that brings a denormal matrix to 1 is no double.
struct Scale {
    double first, second;

    __device__ static Scale to_one(double largest) {
        const int exponent = largest > 0 ? -ilogb(largest) : 0;
        return {ldexp(1.0, exponent / 2), ldexp(1.0, exponent - exponent / 2)};
    }
    __device__ double operator()(double x) const { return x * first * second; }
    __device__ Scale inverse() const { return {1 / first, 1 / second}; }
};

/// NaN if one of them is.
__device__ inline double larger(double a, double b) { return a > b || isnan(a) ? a : b; }

/// f(i, j) for the elements of a rows x columns matrix: neighbouring threads take neighbours of a row.
template <class F>
__device__ void for_each_element(int rows, int columns, const F& f) {
    for (int at = static_cast<int>(threadIdx.x); at < rows * columns; at += static_cast<int>(blockDim.x))
        f(at / columns, at % columns);
}

/// The largest magnitude of the lower triangle; NaN or Inf if it holds one.
template <class T>
__device__ double largest_magnitude(const Matrix<const T>& C, double* reduction) {
    double largest = 0;
    for (Index i = threadIdx.x; i < C.rows; i += blockDim.x)
        for (Index j = 0; j <= i; ++j) largest = larger(fabs(static_cast<double>(C(i, j))), largest);
    return block_reduce(largest, [](double a, double b) { return larger(a, b); }, reduction);
}

/// Element (i, j) of the scaled matrix, from its lower triangle.
template <class T>
__device__ double scaled(const Matrix<const T>& C, const Scale& scale, Index i, Index j) {
    return scale(static_cast<double>(i < j ? C(j, i) : C(i, j)));
}

/// +1 or -1, the same for all sizes.
__device__ inline double sign(int i) {
    std::uint64_t h = (static_cast<std::uint64_t>(i) + 1) * 0x9e3779b97f4a7c15u ^ 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 31) * 0x94d049bb133111ebu;
    return h >> 63 ? 1 : -1;
}

/// -1 if the first entry of largest magnitude of a vector is negative, else 1. By one warp.
template <class T>
__device__ T sign_to_canonical(const T* v, int n) {
    T size = -1, entry = 0;
    int first = 0;
    for (int i = static_cast<int>(threadIdx.x) % warp_size; i < n; i += warp_size)
        if (fabs(v[i]) > size) size = fabs(v[i]), entry = v[i], first = i;
    for (int step = warp_size / 2; step > 0; step /= 2) {
        const T other_size = __shfl_xor_sync(whole_warp, size, step), other = __shfl_xor_sync(whole_warp, entry, step);
        const int other_first = __shfl_xor_sync(whole_warp, first, step);
        if (other_size > size || (other_size == size && other_first < first))
            size = other_size, entry = other, first = other_first;
    }
    return entry < 0 ? T(-1) : T(1);
}

/// Eigenpair j of the scaled matrix, in row j of Vt, goes to its place among the results, or NaN everywhere.
template <class T>
__device__ void write_results(const Eigenbasis<T>& task, int b, const Scale& scale, const T* w, Index w_stride,
                              const T* Vt, Index ld, bool usable) {
    const int n = static_cast<int>(task.C.rows), lane = static_cast<int>(threadIdx.x) % warp_size;
    const Matrix<T> V = task.vectors[b];
    const Scale back = scale.inverse();
    for (int j = static_cast<int>(threadIdx.x) / warp_size; j < n; j += static_cast<int>(blockDim.x) / warp_size) {
        const T value = w[j * w_stride];
        int rank = 0;
        for (int k = lane; k < n; k += warp_size) {
            const T other = w[k * w_stride];
            rank += other < value || (other == value && k < j) ? 1 : 0;
        }
        rank = usable ? warp_sum(rank) : j;
        const T factor = sign_to_canonical(Vt + j * ld, n);
        if (lane == 0)
            task.values[b * Index{n} + rank] =
                usable ? static_cast<T>(back(static_cast<double>(value)) + 0.0) : static_cast<T>(NAN);
        for (int i = lane; i < n; i += warp_size)
            V(i, rank) = usable ? Vt[j * ld + i] * factor + T(0) : static_cast<T>(NAN);  // no negative zeros
    }
    __syncthreads();
}

/// The report of the results as they lie in the task, and NaN in place of those that are no good. `vectors` holds 2 n
/// doubles. Called by the whole block; results of other statuses than ok are NaN already.
template <class T>
__device__ void assess(const Eigenbasis<T>& task, int b, const Scale& scale, Status status, double* vectors,
                       double* reduction) {
    const int n = static_cast<int>(task.C.rows);
    const Matrix<const T> C = task.C[b];
    const Matrix<T> V = task.vectors[b];
    T* const values = task.values + b * Index{n};
    const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    double residual = NAN, *const y = vectors, *const r = vectors + n;
    if (status == Status::ok) {
        for (int i = first; i < n; i += step) {  // y = V z, r = -V diag(values) z
            double sum = 0, weighted = 0;
            for (int j = 0; j < n; ++j) {
                const double v = sign(j) * static_cast<double>(V(i, j));
                sum += v, weighted = fma(-v, scale(static_cast<double>(values[j])), weighted);
            }
            y[i] = sum, r[i] = weighted;
        }
        __syncthreads();
        double squares = 0, error = 0, departure = 0;
        for (int i = first; i < n; i += step) {
            double sum = r[i], dot = -sign(i);
            for (int j = 0; j < n; ++j) {
                const double c = scaled(C, scale, i, j);
                sum = fma(c, y[j], sum), squares = fma(c, c, squares);
                dot = fma(static_cast<double>(V(j, i)), y[j], dot);
            }
            error = fma(sum, sum, error), departure = fma(dot, dot, departure);
        }
        squares = block_sum(squares, reduction), error = block_sum(error, reduction);
        departure = block_sum(departure, reduction);
        residual = sqrt(squares > 0 ? error / squares : error);
        // Written as not(<=) so that NaN is inaccurate too.
        if (!(residual <= residual_bound && departure <= n * residual_bound * residual_bound)) {
            status = Status::inaccurate;
            for_each_element(n, n, [&](int i, int j) { V(i, j) = static_cast<T>(NAN); });
            for (int j = first; j < n; j += step) values[j] = static_cast<T>(NAN);
        }
    }
    if (threadIdx.x > 0) return;
    task.reports.status[b] = status, task.reports.residual[b] = residual;
}

/// The rotations of one matrix, of even order: if n is odd a row of zeros is added.
template <class T>
class Jacobi {
  public:
    CURVBLAS_DEVICE static constexpr Index order(Index n) { return n + n % 2; }
    CURVBLAS_DEVICE static constexpr Index stride(Index n) { return order(n) + 1; }  // columns in different banks
    /// Words of a workspace: A, Vt, the rotations of a round; one matrix more to begin from a warm start.
    CURVBLAS_DEVICE static constexpr Index words(Index n, bool warm) {
        return (warm ? 3 : 2) * order(n) * stride(n) + 3 * order(n);
    }

    __device__ Jacobi(const Matrix<const T>& C, const Scale& scale, T* workspace, double* reduction)
        : C_(C),
          scale_(scale),
          n_(static_cast<int>(C.rows)),
          m_(static_cast<int>(order(n_))),
          ld_(static_cast<int>(stride(n_))),
          reduction_(reduction),
          cosine_(workspace),
          sine_(cosine_ + m_ / 2),
          pair_(reinterpret_cast<int*>(sine_ + m_ / 2)),
          A_(workspace + 3 * m_),
          Vt_(A_ + m_ * ld_),
          spare_(Vt_ + m_ * ld_) {}

    __device__ const T* values() const { return A_; }
    __device__ Index values_stride() const { return ld_ + 1; }  // the diagonal
    __device__ const T* vectors() const { return Vt_; }
    __device__ Index ld() const { return ld_; }

    /// For what has no eigenbasis.
    __device__ void load_nothing() {
        for_each_element(m_, m_, [&](int i, int j) { A_[i * ld_ + j] = Vt_[i * ld_ + j] = T(0); });
        __syncthreads();
    }

    __device__ void load() {
        for_each_element(m_, m_, [&](int i, int j) {
            A_[i * ld_ + j] = i < n_ && j < n_ ? static_cast<T>(scaled(C_, scale_, i, j)) : T(0);
            Vt_[i * ld_ + j] = i == j ? T(1) : T(0);
        });
        __syncthreads();
    }

    /// From V0, made orthonormal by one step of Newton and Schulz (Higham 2008, section 8.3), which squares its error:
    /// A = V^T C V. False, and nothing is loaded, if V0 is too far from orthonormal for that. The step also keeps
    /// errors from adding up over many warm starts.
    __device__ bool load(const Matrix<const T>& V0) {
        for_each_element(m_, m_, [&](int i, int j) {
            Vt_[i * ld_ + j] = i < n_ && j < n_ ? V0(j, i) : i == j ? T(1) : T(0);
        });
        __syncthreads();
        double departure = 0;
        multiply(Vt_, 1, Vt_, [&](int i, int j, T sum) {
            A_[i * ld_ + j] = sum - (i == j ? T(1) : T(0));
            departure = larger(fabs(static_cast<double>(A_[i * ld_ + j])), departure);
        });
        departure = block_reduce(departure, [](double a, double b) { return larger(a, b); }, reduction_);
        // Written as not(<=) so that NaN fails too.
        if (!(departure * n_ <= sqrt(static_cast<double>(epsilon<T>)))) return false;
        multiply(A_, ld_, Vt_, [&](int i, int j, T sum) { spare_[i * ld_ + j] = fma(T(-0.5), sum, Vt_[i * ld_ + j]); });
        __syncthreads();
        for_each_element(m_, m_, [&](int i, int j) {
            Vt_[i * ld_ + j] = spare_[i * ld_ + j];
            A_[i * ld_ + j] = i < n_ && j < n_ ? static_cast<T>(scaled(C_, scale_, i, j)) : T(0);
        });
        __syncthreads();
        multiply(Vt_, ld_, A_, [&](int i, int j, T sum) { spare_[i * ld_ + j] = sum; });
        __syncthreads();
        multiply(spare_, 1, Vt_, [&](int i, int j, T sum) {
            if (j <= i) A_[i * ld_ + j] = A_[j * ld_ + i] = sum;
        });
        __syncthreads();
        return true;
    }

    /// Sweeps until the off-diagonal is below eps ||A||; false if it never is.
    __device__ bool diagonalise() {
        for (int sweep = 0; sweep <= most_sweeps; ++sweep) {
            double off = 0, all = 0;
            for_each_element(m_, m_, [&](int i, int j) {
                const double a = static_cast<double>(A_[i * ld_ + j]);
                (i == j ? all : off) += a * a;
            });
            off = block_sum(off, reduction_), all = block_sum(all, reduction_) + off;
            const double bound = static_cast<double>(epsilon<T>) / 2;
            if (off <= bound * bound * all) return true;
            for (int round = 0; round < m_ - 1; ++round) {
                choose_rotations(round);
                __syncthreads();
                rotate();
                __syncthreads();
            }
        }
        return false;
    }

  private:
    /// f(i, j, sum_k X_ik Y_kj) with Y_kj = Y[k ld + j]; with Y_stride 1 it is Y[j ld + k], the transpose.
    template <class F>
    __device__ void multiply(const T* X, int Y_stride, const T* Y, const F& f) const {
        const int along_j = Y_stride == 1 ? ld_ : 1;
        for_each_element(m_, m_, [&](int i, int j) {
            T sum = 0;
            for (int k = 0; k < m_; ++k) sum = fma(X[i * ld_ + k], Y[k * Y_stride + j * along_j], sum);
            f(i, j, sum);
        });
    }

    /// Pair k of a round of the tournament: one index stays, the others walk around it, so that m - 1 rounds bring
    /// together all pairs. Its rotation makes A_pq zero.
    __device__ void choose_rotations(int round) const {
        const int others = m_ - 1;
        for (int k = static_cast<int>(threadIdx.x); k < m_ / 2; k += static_cast<int>(blockDim.x)) {
            const int a = k == 0 ? others : (round + k) % others, b = (round - k + others) % others;
            const int p = min(a, b), q = max(a, b);
            const T off = A_[p * ld_ + q];
            T t = 0;
            if (off != 0) {
                const T theta = (A_[q * ld_ + q] - A_[p * ld_ + p]) / (2 * off);
                t = (theta < 0 ? T(-1) : T(1)) / (fabs(theta) + sqrt(fma(theta, theta, T(1))));
            }
            cosine_[k] = 1 / sqrt(fma(t, t, T(1)));
            sine_[k] = t * cosine_[k];
            pair_[2 * k] = p, pair_[2 * k + 1] = q;
        }
    }

    /// A <- J^T A J and Vt <- J^T Vt for the rotations of a round. The 2 x 2 blocks of two pairs are disjoint.
    __device__ void rotate() const {
        const int half = m_ / 2, threads = static_cast<int>(blockDim.x);
        // Each two of the pairs once: k and the d-th after it.
        for (int at = static_cast<int>(threadIdx.x); at < half * (half / 2 + 1); at += threads) {
            const int k = at % half, d = at / half;
            if (2 * d == half && k >= d) continue;
            rotate_block(k, (k + d) % half);
        }
        for (int at = static_cast<int>(threadIdx.x); at < half * m_; at += threads) {
            const int k = at / m_, i = at % m_;
            const T c = cosine_[k], s = sine_[k];
            T &p = Vt_[pair_[2 * k] * ld_ + i], &q = Vt_[pair_[2 * k + 1] * ld_ + i];
            const T old = p;
            p = fma(c, old, -s * q), q = fma(s, old, c * q);
        }
    }
    __device__ void rotate_block(int k, int l) const {
        const int pk = pair_[2 * k], qk = pair_[2 * k + 1], pl = pair_[2 * l], ql = pair_[2 * l + 1];
        const T ck = cosine_[k], sk = sine_[k], cl = cosine_[l], sl = sine_[l];
        if (k == l) {
            const T shift = sk / ck * A_[pk * ld_ + qk];
            A_[pk * ld_ + pk] -= shift, A_[qk * ld_ + qk] += shift;
            A_[pk * ld_ + qk] = A_[qk * ld_ + pk] = 0;
            return;
        }
        const T pp = A_[pk * ld_ + pl], pq = A_[pk * ld_ + ql], qp = A_[qk * ld_ + pl], qq = A_[qk * ld_ + ql];
        const T rpp = fma(ck, pp, -sk * qp), rpq = fma(ck, pq, -sk * qq);
        const T rqp = fma(sk, pp, ck * qp), rqq = fma(sk, pq, ck * qq);
        A_[pk * ld_ + pl] = A_[pl * ld_ + pk] = fma(cl, rpp, -sl * rpq);
        A_[pk * ld_ + ql] = A_[ql * ld_ + pk] = fma(sl, rpp, cl * rpq);
        A_[qk * ld_ + pl] = A_[pl * ld_ + qk] = fma(cl, rqp, -sl * rqq);
        A_[qk * ld_ + ql] = A_[ql * ld_ + qk] = fma(sl, rqp, cl * rqq);
    }

    const Matrix<const T> C_;
    const Scale scale_;
    const int n_, m_, ld_;
    double* const reduction_;
    T *const cosine_, *const sine_;
    int* const pair_;
    T *const A_, *const Vt_, *const spare_;
};

}  // namespace curvblas::CURVBLAS_BACKEND
