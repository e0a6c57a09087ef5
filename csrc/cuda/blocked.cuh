// Blocked algorithms on one matrix by one block of threads: Cholesky factor, its inverse, and the inverse of the
// matrix, in place, 32 x 32 elements at a time. The matrix lies in the workspace of its block, in shared or in global
// memory.
#pragma once

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {

/// A symmetric matrix of `side` x `side` square blocks of 32, of which the lower ones are stored.
template <class W>
class BlockedMatrix {
  public:
    static constexpr int width = 32, threads = 256;
    static constexpr int pitch = width + 1;  // columns of a staged block begin in different banks
    /// Of shared memory, beside the matrix: two staged blocks.
    static constexpr int staging = 2 * width * pitch;

    /// The words of a workspace for a matrix of order n, and from one of its rows to the next.
    CURVBLAS_DEVICE static constexpr Index words(Index n) { return padded(n) * stride_of(n); }
    CURVBLAS_DEVICE static constexpr Index stride_of(Index n) { return padded(n) + 1; }

    __device__ BlockedMatrix(W* workspace, W* staging, int n)
        : data_(workspace),
          first_(staging),
          second_(staging + width * pitch),
          side_(static_cast<int>(padded(n) / width)) {}

    __device__ W& operator()(int i, int j) const { return data_[i * stride() + j]; }
    __device__ int order() const { return side_ * width; }

    /// The lower triangle becomes the Cholesky factor. Returns as invert() does.
    __device__ int factor(int* verdict, double& log_det) {
        for (int k = 0; k < side_; ++k) {
            const int minor = factor_diagonal(k, verdict, log_det);
            if (minor) return minor;
            stage_back(block(k, k), first_);
            // The inverse of the diagonal block stays in second_.
            for (int i = k + 1; i < side_; ++i) {
                stage(first_, block(i, k));
                W sum[per_thread] = {};
                add_product<false, true>(sum);
                store(block(i, k), sum);
            }
            __syncthreads();  // the update reads what other threads have solved
            update_trailing(k);
        }
        return 0;
    }

    /// The lower triangle becomes that of the inverse, by Cholesky. Returns the order of the leading minor that is not
    /// positive, or 0, and then adds to log_det. `verdict` is one int of shared memory.
    __device__ int invert(int* verdict, double& log_det) {
        for (int k = 0; k < side_; ++k) {
            const int minor = factor_diagonal(k, verdict, log_det);
            if (minor) return minor;
            solve_panel(k);
            update_trailing(k);
        }
        invert_triangle();
        multiply_by_transpose();
        return 0;
    }

  private:
    CURVBLAS_DEVICE static constexpr Index padded(Index n) { return (n + width - 1) / width * width; }
    __device__ Index stride() const { return stride_of(order()); }
    __device__ W* block(int i, int j) const { return data_ + i * width * stride() + j * width; }

    /// This thread's elements of a block: column `column()`, rows row(0) ... row(3).
    static constexpr int per_thread = width * width / threads;
    __device__ static int column() { return static_cast<int>(threadIdx.x) % width; }
    __device__ static int row(int q) { return static_cast<int>(threadIdx.x) / width + q * (threads / width); }

    __device__ void stage(W* to, const W* from) const {
#pragma unroll
        for (int q = 0; q < per_thread; ++q) to[row(q) * pitch + column()] = from[row(q) * stride() + column()];
    }

    /// sum += f(first) f(second) of the staged blocks, transposed or not. Barriers before and after: the blocks may be
    /// staged just before and again just after.
    template <bool first_transposed, bool second_transposed>
    __device__ void add_product(W (&sum)[per_thread]) const {
        __syncthreads();
#pragma unroll 8
        for (int t = 0; t < width; ++t) {
            const W b = second_transposed ? second_[column() * pitch + t] : second_[t * pitch + column()];
#pragma unroll
            for (int q = 0; q < per_thread; ++q)
                sum[q] = fma(first_transposed ? first_[t * pitch + row(q)] : first_[row(q) * pitch + t], b, sum[q]);
        }
        __syncthreads();  // before the blocks are staged again
    }

    __device__ void store(W* to, const W (&values)[per_thread]) const {
#pragma unroll
        for (int q = 0; q < per_thread; ++q) to[row(q) * stride() + column()] = values[q];
    }

    /// Block (k, k) = L L^T is replaced by L^-1, zeros above its diagonal.
    __device__ int factor_diagonal(int k, int* verdict, double& log_det) {
        stage(first_, block(k, k));
        __syncthreads();
        if (threadIdx.x < width) {
            const int minor = factor_staged();
            if (threadIdx.x == 0) *verdict = minor;
            if (minor == 0) invert_staged();
        }
        __syncthreads();
        if (const int minor = *verdict) return k * width + minor;
        for (int i = 0; i < width; ++i) log_det -= 2 * log(static_cast<double>(second_[i * pitch + i]));
        stage_back(block(k, k), second_);
        __syncthreads();
        return 0;
    }
    __device__ void stage_back(W* to, const W* from) const {
#pragma unroll
        for (int q = 0; q < per_thread; ++q) to[row(q) * stride() + column()] = from[row(q) * pitch + column()];
    }

    /// One warp, a lane a row: first_ becomes its Cholesky factor, column by column.
    __device__ int factor_staged() const {
        const int i = static_cast<int>(threadIdx.x);
        for (int j = 0; j < width; ++j) {
            const W pivot = first_[j * pitch + j];
            // Written as not(>) so that NaN fails too.
            if (!(pivot > 0) || isinf(pivot)) return j + 1;
            const W root = sqrt(pivot);
            __syncwarp();
            if (i >= j) first_[i * pitch + j] = i == j ? root : first_[i * pitch + j] / root;
            __syncwarp();
            for (int c = j + 1; c <= i; ++c)
                first_[i * pitch + c] = fma(-first_[i * pitch + j], first_[c * pitch + j], first_[i * pitch + c]);
            __syncwarp();
        }
        return 0;
    }

    /// One warp, a lane a column: second_ = first_^-1 by forward substitution.
    __device__ void invert_staged() const {
        const int j = static_cast<int>(threadIdx.x);
        for (int i = 0; i < width; ++i) {
            W sum = i == j ? W(1) : W(0);
            for (int t = j; t < i; ++t) sum = fma(-first_[i * pitch + t], second_[t * pitch + j], sum);
            second_[i * pitch + j] = i < j ? W(0) : sum / first_[i * pitch + i];
        }
    }

    /// Blocks below (k, k) are multiplied by L_kk^-T.
    __device__ void solve_panel(int k) {
        for (int i = k + 1; i < side_; ++i) {
            stage(first_, block(i, k));
            stage(second_, block(k, k));
            W sum[per_thread] = {};
            add_product<false, true>(sum);
            store(block(i, k), sum);
        }
        __syncthreads();  // the update reads what other threads have solved
    }

    __device__ void update_trailing(int k) {
        for (int i = k + 1; i < side_; ++i)
            for (int j = k + 1; j <= i; ++j) {
                stage(first_, block(i, k));
                stage(second_, block(j, k));
                W sum[per_thread] = {};
                add_product<false, true>(sum);
#pragma unroll
                for (int q = 0; q < per_thread; ++q) block(i, j)[row(q) * stride() + column()] -= sum[q];
            }
        __syncthreads();
    }

    /// L becomes L^-1; its diagonal blocks are inverse already. Block row i of the inverse is
    /// -L_ii^-1 sum_t L_it (L^-1)_tj.
    __device__ void invert_triangle() {
        for (int i = 1; i < side_; ++i)
            for (int j = 0; j < i; ++j) {
                W sum[per_thread] = {};
                for (int t = j; t < i; ++t) {
                    stage(first_, block(i, t));
                    stage(second_, block(t, j));
                    add_product<false, false>(sum);
                }
                stage(first_, block(i, i));
#pragma unroll
                for (int q = 0; q < per_thread; ++q) second_[row(q) * pitch + column()] = -sum[q];
                W product[per_thread] = {};
                add_product<false, false>(product);
                store(block(i, j), product);
                __syncthreads();  // the next row reads it
            }
    }

    /// M becomes the lower blocks of M^T M. Block (i, j) needs rows i and below, of which row i is overwritten last at
    /// its diagonal.
    __device__ void multiply_by_transpose() {
        for (int i = 0; i < side_; ++i)
            for (int j = 0; j <= i; ++j) {
                W sum[per_thread] = {};
                for (int t = i; t < side_; ++t) {
                    stage(first_, block(t, i));
                    stage(second_, block(t, j));
                    add_product<true, false>(sum);
                }
                store(block(i, j), sum);
            }
        __syncthreads();
    }

    W *data_, *first_, *second_;
    int side_;
};

}  // namespace curvblas::CURVBLAS_BACKEND
