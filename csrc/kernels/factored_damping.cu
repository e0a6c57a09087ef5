#include "kernels/factored_damping.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

struct Product {
    int task, b;
};

template <class T>
__device__ double mean_of_diagonal(const Matrix<const T>& C, double* shared) {
    double trace = 0;
    for (Index i = threadIdx.x; i < C.rows; i += threads) trace += static_cast<double>(C(i, i));
    return block_sum(trace, shared) / static_cast<double>(C.rows);  // NaN for a 0 x 0 matrix: no use either
}

template <class T>
__global__ void divide_damping(const FactoredDamping<T>* tasks, const Product* products) {
    const Product product = products[blockIdx.x];
    const FactoredDamping<T>& task = tasks[product.task];
    double* const shared = dynamic_shared<double>();
    double* const means = shared + most_warps;  // shared, because registers have no index
    for (int i = 0; i < task.count; ++i) {
        const double mean = mean_of_diagonal(task.factors[i][product.b], shared);
        if (threadIdx.x == 0) means[i] = mean;
    }
    if (threadIdx.x == 0) split_damping(task, product.b, means);
}

}  // namespace

template <class T>
void factored_damping(const Queue& queue, std::span<const FactoredDamping<T>> group) {
    std::vector<Product> products;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].factors[0].batch); ++b) products.push_back({t, b});
    if (products.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Product>(products));
    launch(divide_damping<T>, dim3(grid_for(products)), dim3(threads), (most_warps + most_factors) * sizeof(double),
           queue.stream(), tasks.get(), table.get());
}

template void factored_damping(const Queue&, std::span<const FactoredDamping<float>>);
template void factored_damping(const Queue&, std::span<const FactoredDamping<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
