#include "kernels/lbfgs_two_loop.h"

#include "cuda/block.cuh"
#include "kernels/pairs.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

/// Products of one pair with itself, and with q.
struct PairDots {
    double ss, sy, yy, sq;
};

template <class T>
__device__ PairDots multiply(const Matrix<const T>& S, const Matrix<const T>& Y, Index i, const double* q,
                             double* shared) {
    PairDots dots{};
    for (Index j = threadIdx.x; j < S.columns; j += threads) {
        const double s = static_cast<double>(S(i, j)), y = static_cast<double>(Y(i, j));
        dots.ss = fma(s, s, dots.ss), dots.sy = fma(s, y, dots.sy), dots.yy = fma(y, y, dots.yy);
        dots.sq = fma(s, q[j], dots.sq);
    }
    return {block_sum(dots.ss, shared), block_sum(dots.sy, shared), block_sum(dots.yy, shared),
            block_sum(dots.sq, shared)};
}

/// A block of threads for each model, each of which keeps its columns of q.
template <class T>
__global__ void __launch_bounds__(threads) descend(LbfgsTwoLoop<T> task) {
    const Matrix<const T> S = task.S[blockIdx.x], Y = task.Y[blockIdx.x], g = task.g[blockIdx.x];
    const Matrix<T> direction = task.direction[blockIdx.x];
    const Index m = S.rows, n = S.columns;
    double *const shared = dynamic_shared<double>(), *const q = shared + most_warps, *const share = q + n;
    double* const curvature = share + m;
    for (Index j = threadIdx.x; j < n; j += threads) q[j] = static_cast<double>(g(0, j));
    double scale = given_scale(task.initial, blockIdx.x), zero = scale * 0;
    for (Index i = m - 1; i >= 0; --i) {
        const PairDots dots = multiply(S, Y, i, q, shared);
        zero += dots.ss * 0 + dots.yy * 0;
        const bool is_wanted = !task.mask.data || task.mask[blockIdx.x](0, i) != T(0);
        const bool is_used = is_wanted && is_curved(dots.ss, dots.sy, dots.yy);
        if (threadIdx.x == 0) curvature[i] = is_used ? dots.sy : 0;
        if (!is_used) continue;
        const double factor = dots.sq / dots.sy;
        if (threadIdx.x == 0) share[i] = factor;
        if (scale == 0) scale = dots.sy / dots.yy;
        for (Index j = threadIdx.x; j < n; j += threads) q[j] -= factor * static_cast<double>(Y(i, j));
    }
    if (scale == 0) scale = 1;
    if (zero != 0 || !(scale > 0)) scale = NAN;
    for (Index j = threadIdx.x; j < n; j += threads) q[j] *= scale;
    __syncthreads();  // curvature and share of thread 0
    for (Index i = 0; i < m; ++i) {
        if (curvature[i] == 0) continue;
        double sum = 0;
        for (Index j = threadIdx.x; j < n; j += threads) sum = fma(static_cast<double>(Y(i, j)), q[j], sum);
        const double rest = share[i] - block_sum(sum, shared) / curvature[i];
        for (Index j = threadIdx.x; j < n; j += threads) q[j] += rest * static_cast<double>(S(i, j));
    }
    for (Index j = threadIdx.x; j < n; j += threads) direction(0, j) = static_cast<T>(-q[j]);
}

}  // namespace

template <class T>
void lbfgs_two_loop(const Queue& queue, const LbfgsTwoLoop<T>& task) {
    if (task.g.batch == 0) return;
    const auto words = static_cast<std::size_t>(most_warps + task.S.columns + 2 * task.S.rows);
    launch(descend<T>, dim3(static_cast<unsigned>(counted(task.g.batch))), dim3(threads), words * sizeof(double),
           queue.stream(), task);
}

template void lbfgs_two_loop(const Queue&, const LbfgsTwoLoop<float>&);
template void lbfgs_two_loop(const Queue&, const LbfgsTwoLoop<double>&);

}  // namespace curvblas::CURVBLAS_BACKEND
