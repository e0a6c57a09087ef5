// One eigenbasis by one block of threads: two-sided Jacobi rotations of n / 2 disjoint pairs at a time (Golub and Van
// Loan 2013, section 8.5).
#pragma once

#include "kernels/eigenbasis_results.cuh"

namespace curvblas::CURVBLAS_BACKEND {

constexpr int most_sweeps = 40;  // random matrices take 6 to 10
template <class T>
constexpr T jacobi_epsilon = sizeof(T) == 4 ? T(0x1p-23) : T(0x1p-52);

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
          tangent_(workspace),
          sine_(tangent_ + m_ / 2),
          half_tangent_(sine_ + m_ / 2),
          pair_(reinterpret_cast<int*>(half_tangent_ + m_ / 2)),
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
        if (!(departure * n_ <= sqrt(static_cast<double>(jacobi_epsilon<T>)))) return false;
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
            const double bound = static_cast<double>(jacobi_epsilon<T>) / 2;
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
            const T length = sqrt(fma(t, t, T(1)));
            tangent_[k] = t, sine_[k] = t / length, half_tangent_[k] = t / (1 + length);
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
            T &p = Vt_[pair_[2 * k] * ld_ + i], &q = Vt_[pair_[2 * k + 1] * ld_ + i];
            turn(k, p, q);
        }
    }
    __device__ void rotate_block(int k, int l) const {
        const int pk = pair_[2 * k], qk = pair_[2 * k + 1], pl = pair_[2 * l], ql = pair_[2 * l + 1];
        if (k == l) {
            const T shift = tangent_[k] * A_[pk * ld_ + qk];
            A_[pk * ld_ + pk] -= shift, A_[qk * ld_ + qk] += shift;
            A_[pk * ld_ + qk] = A_[qk * ld_ + pk] = 0;
            return;
        }
        T pp = A_[pk * ld_ + pl], pq = A_[pk * ld_ + ql], qp = A_[qk * ld_ + pl], qq = A_[qk * ld_ + ql];
        turn(k, pp, qp), turn(k, pq, qq);
        turn(l, pp, pq), turn(l, qp, qq);
        A_[pk * ld_ + pl] = A_[pl * ld_ + pk] = pp;
        A_[pk * ld_ + ql] = A_[ql * ld_ + pk] = pq;
        A_[qk * ld_ + pl] = A_[pl * ld_ + qk] = qp;
        A_[qk * ld_ + ql] = A_[ql * ld_ + qk] = qq;
    }

    /// (p, q) <- (c p - s q, s p + c q), written with tau = s / (1 + c) (Rutishauser 1966) so that small rotations, of
    /// which there are many, err by s eps and not by eps: ||V^T V - I|| 7e-5 with c, 6e-6 with tau (float32, n = 64).
    __device__ void turn(int k, T& p, T& q) const {
        const T s = sine_[k], tau = half_tangent_[k], old = p;
        p = fma(-s, fma(tau, old, q), old), q = fma(s, fma(-tau, q, old), q);
    }

    const Matrix<const T> C_;
    const Scale scale_;
    const int n_, m_, ld_;
    double* const reduction_;
    T *const tangent_, *const sine_, *const half_tangent_;
    int* const pair_;
    T *const A_, *const Vt_, *const spare_;
};

}  // namespace curvblas::CURVBLAS_BACKEND
