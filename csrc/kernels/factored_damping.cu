#include "kernels/factored_damping.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

struct Pair {
    int task, b;
};

template <class T>
__device__ double mean_of_diagonal(const Matrix<const T>& C, double* shared) {
    double trace = 0;
    for (Index i = threadIdx.x; i < C.rows; i += threads) trace += static_cast<double>(C(i, i));
    return block_sum(trace, shared) / static_cast<double>(C.rows);  // NaN for a 0 x 0 matrix: no use either
}

template <class T>
__global__ void split_damping(const FactoredDamping<T>* tasks, const Pair* pairs) {
    const Pair pair = pairs[blockIdx.x];
    const FactoredDamping<T> task = tasks[pair.task];
    double* const shared = dynamic_shared<double>();
    const double A_mean = mean_of_diagonal(task.A[pair.b], shared), G_mean = mean_of_diagonal(task.G[pair.b], shared);
    if (threadIdx.x > 0) return;
    const bool usable = A_mean > 0 && G_mean > 0 && isfinite(A_mean) && isfinite(G_mean);
    const double pi = usable ? sqrt(A_mean / G_mean) : 1.0, damping = task.damping[pair.b];
    const double root = damping >= 0 && isfinite(damping) ? sqrt(damping) : NAN;
    task.damping_A[pair.b] = pi * root;
    task.damping_G[pair.b] = root / pi;
}

}  // namespace

template <class T>
void factored_damping(const Queue& queue, std::span<const FactoredDamping<T>> group) {
    std::vector<Pair> pairs;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].A.batch); ++b) pairs.push_back({t, b});
    if (pairs.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Pair>(pairs));
    launch(split_damping<T>, dim3(grid_for(pairs)), dim3(threads), most_warps * sizeof(double), queue.stream(),
           tasks.get(), table.get());
}

template void factored_damping(const Queue&, std::span<const FactoredDamping<float>>);
template void factored_damping(const Queue&, std::span<const FactoredDamping<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
