#include "kernels/solve_quasi_diagonal.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 128;

/// Unit `k` of matrix `b`: a block of threads.
struct Unit {
    int task, b, k;
};

template <class T>
__global__ void __launch_bounds__(threads) solve_units(const SolveQuasiDiagonal<T>* tasks, const Unit* units) {
    const Unit own = units[blockIdx.x];
    const SolveQuasiDiagonal<T>& task = tasks[own.task];
    const QuasiDiagonalUnit<T> unit(task, own.b, own.k);
    double* const shared = dynamic_shared<double>();
    double shift = 0;
    Status status = unit.status();
    for (Index i = threadIdx.x; i < unit.inputs(); i += threads)
        status = QuasiDiagonalUnit<T>::worse(status, unit.solve(i, shift));
    shift = block_sum(shift, shared);
    if (threadIdx.x == 0) status = QuasiDiagonalUnit<T>::worse(status, unit.solve_bias(shift));
    const auto largest = [](double a, double b) { return a > b ? a : b; };
    status = static_cast<Status>(static_cast<int>(block_reduce(static_cast<double>(status), largest, shared)));
    if (threadIdx.x == 0) task.status[own.b * task.g.rows + own.k] = status;
    if (status == Status::ok) return;
    for (Index i = threadIdx.x; i <= unit.inputs(); i += threads) unit.fail(i);
}

}  // namespace

template <class T>
void solve_quasi_diagonal(const Queue& queue, std::span<const SolveQuasiDiagonal<T>> group) {
    std::vector<Unit> units;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].g.batch); ++b)
            for (int k = 0; k < counted(group[t].g.rows); ++k) units.push_back({t, b, k});
    if (units.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Unit>(units));
    launch(solve_units<T>, dim3(grid_for(units)), dim3(threads), most_warps * sizeof(double), queue.stream(),
           tasks.get(), table.get());
}

template void solve_quasi_diagonal(const Queue&, std::span<const SolveQuasiDiagonal<float>>);
template void solve_quasi_diagonal(const Queue&, std::span<const SolveQuasiDiagonal<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
