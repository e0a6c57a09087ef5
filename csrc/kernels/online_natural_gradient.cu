#include "kernels/online_natural_gradient.h"

#include <vector>

#include "cuda/block.cuh"
#include "cuda/for_each_element.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 256;

/// Rows [first, first + count) of one side, its chunk number `index`.
struct Chunk {
    int task;
    Index first, count, index;
};

template <class T>
__global__ void __launch_bounds__(threads) subtract_products(const OngSubtract<T>* tasks, const Chunk* chunks) {
    const Chunk chunk = chunks[blockIdx.x];
    const OngSubtract<T>& task = tasks[chunk.task];
    double before = 0, after = 0;
    for (Index i = chunk.first; i < chunk.first + chunk.count; ++i)
        for (Index j = threadIdx.x; j < task.Y.columns; j += threads) {
            const T x = task.X(i, j), left = x - task.Y(i, j);
            task.Y(i, j) = left;
            before += static_cast<double>(x) * static_cast<double>(x);
            after += static_cast<double>(left) * static_cast<double>(left);
        }
    double* const shared = dynamic_shared<double>();
    before = block_sum(before, shared), after = block_sum(after, shared);
    if (threadIdx.x != 0) return;
    double* const own = task.sums + 2 * chunk.index;
    own[0] = before, own[1] = after;
}

template <class T>
__global__ void __launch_bounds__(threads) multiply_by_factor(const OngScale<T>* tasks, const Chunk* chunks) {
    const Chunk chunk = chunks[blockIdx.x];
    const OngScale<T>& task = tasks[chunk.task];
    for (Index i = chunk.first; i < chunk.first + chunk.count; ++i)
        for (Index j = threadIdx.x; j < task.X.columns; j += threads)
            task.X(i, j) = static_cast<T>(*task.factor * static_cast<double>(task.X(i, j)));
}

template <class Task, class T>
std::vector<Chunk> chunks_of(std::span<const Task> group, Matrix<T> Task::* rows) {
    std::vector<Chunk> chunks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const Matrix<T>& A = group[static_cast<std::size_t>(t)].*rows;
        const Index step = ong_chunk(A.columns);
        for (Index first = 0; first < A.rows; first += step)
            chunks.push_back({t, first, step < A.rows - first ? step : A.rows - first, first / step});
    }
    return chunks;
}

}  // namespace

template <class T>
void ong_subtract(const Queue& queue, std::span<const OngSubtract<T>> group) {
    const std::vector<Chunk> chunks = chunks_of(group, &OngSubtract<T>::Y);
    if (chunks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Chunk>(chunks));
    launch(subtract_products<T>, dim3(grid_for(chunks)), dim3(threads), most_warps * sizeof(double), queue.stream(),
           tasks.get(), table.get());
}

template <class T>
void ong_scale(const Queue& queue, std::span<const OngScale<T>> group) {
    const std::vector<Chunk> chunks = chunks_of(group, &OngScale<T>::X);
    if (chunks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Chunk>(chunks));
    launch(multiply_by_factor<T>, dim3(grid_for(chunks)), dim3(threads), 0, queue.stream(), tasks.get(), table.get());
}

template void for_each_element(const Queue&, std::span<const OngStart<float>>, double);
template void for_each_element(const Queue&, std::span<const OngStart<double>>, double);
template void for_each_element(const Queue&, std::span<const OngJudge>, double);
template void for_each_element(const Queue&, std::span<const OngForm>, double);
template void for_each_element(const Queue&, std::span<const OngUpdate>, double);
template void for_each_element(const Queue&, std::span<const OngOrthogonalise<float>>, double);
template void for_each_element(const Queue&, std::span<const OngOrthogonalise<double>>, double);
template void ong_subtract(const Queue&, std::span<const OngSubtract<float>>);
template void ong_subtract(const Queue&, std::span<const OngSubtract<double>>);
template void ong_scale(const Queue&, std::span<const OngScale<float>>);
template void ong_scale(const Queue&, std::span<const OngScale<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
