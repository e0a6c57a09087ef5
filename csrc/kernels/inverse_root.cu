#include "kernels/inverse_root.cuh"

#include <vector>

#include "kernels/eigenbasis.h"
#include "kernels/inverse_root_newton.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// The slots of the eigenbasis: C becomes X, V becomes V diag((w + damping)^(-1/2p)); w is the first of the vectors.
enum EighSlot { eigh_X, eigh_V, eigh_slots };

template <class T>
__global__ void __launch_bounds__(root_threads)
    widen(const InverseRoot<T>* tasks, const Problem* problems, double* memory) {
    const Problem& problem = problems[blockIdx.x];
    const Matrix<const T> C = tasks[problem.task].C[problem.b];
    double* const A = memory + problem.slot[eigh_X];
    for_each_element(static_cast<int>(problem.n),
                     [&](int i, int j) { A[Index{i} * problem.n + j] = j <= i ? static_cast<double>(C(i, j)) : 0; });
}

template <class T>
__global__ void __launch_bounds__(root_threads)
    scale_basis(const InverseRoot<T>* tasks, const Problem* problems, double* memory, Index p) {
    const Problem& problem = problems[blockIdx.x];
    const InverseRoot<T> task = tasks[problem.task];
    const Index n = problem.n;
    const double damping = task.damping[problem.b];
    Status* const status = task.reports.status + problem.b;
    if (n == 0 || *status != Status::ok) return;
    __syncthreads();  // all have read the status
    const double* const w = memory + problem.vectors;
    const double known = static_cast<double>(n) * 0x1p-52 * fmax(fabs(w[0]), fabs(w[n - 1]));
    const bool is_valid = damping >= 0 && !isinf(damping);
    if (!is_valid || !(w[0] + damping > known)) {
        if (threadIdx.x == 0) *status = is_valid ? Status::not_positive_definite : Status::invalid_parameter;
        return;
    }
    double* const V = memory + problem.slot[eigh_V];
    for_each_element(static_cast<int>(n),
                     [&](int i, int j) { V[i * n + j] *= pow(w[j] + damping, -0.5 / static_cast<double>(p)); });
}

/// The problems of a group, with so many slots each; `size` becomes the doubles that they need.
template <class T>
std::vector<Problem> problems_of(std::span<const InverseRoot<T>> group, int slots, Index& size) {
    std::vector<Problem> problems;
    const auto take = [&](Index count) {
        const Index begin = size;
        size += (count + 31) / 32 * 32;
        return begin;
    };
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].C.batch); ++b) {
            const Index n = group[t].C.rows;
            Problem problem{t, b, n, {}, 0};
            for (int slot = 0; slot < slots; ++slot)
                problem.slot[slot] = take(slot == newton_A ? words_of_A(n) : n * n);
            problem.vectors = take(4 * n);
            problems.push_back(problem);
        }
    return problems;
}

/// The eigenbases of all matrices: the values are the last n of the vectors.
template <class T>
void find_bases(const Queue& queue, std::span<const InverseRoot<T>> group, std::span<const Problem> problems,
                double* memory) {
    std::vector<Eigenbasis<double>> bases;
    for (const Problem& problem : problems) {
        const Index n = problem.n;
        const RootReports reports = group[problem.task].reports.from(problem.b);
        bases.push_back({{memory + problem.slot[eigh_X], n, n, n, 1, 1, 0},
                         {},
                         memory + problem.vectors,
                         {memory + problem.slot[eigh_V], n, n, n, 1, 1, 0},
                         {reports.status, reports.residual}});
    }
    eigenbasis<double>(queue, bases);
}

}  // namespace

template <class T>
void inverse_root(const Queue& queue, std::span<const InverseRoot<T>> group, Index p, RootMethod method) {
    const bool newton = method == RootMethod::newton;
    Index size = 0;
    const std::vector<Problem> problems = problems_of(group, newton ? int{newton_slots} : int{eigh_slots}, size);
    if (problems.empty()) return;
    std::vector<TileOf> tiles;
    for (std::size_t k = 0; k < problems.size(); ++k)
        append_tiles(tiles, static_cast<int>(k), problems[k].n, problems[k].n, true);
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Problem>(problems));
    const auto tile_table = queue.copy_of(std::span<const TileOf>(tiles));
    const auto memory = queue.scratch<double>(size);
    const dim3 each(grid_for(problems)), threads(root_threads), all_tiles(grid_for(tiles));
    constexpr std::size_t shared_bytes = most_warps * sizeof(double);
    const auto multiply = [&](const RootState* states, int a, int b, int to) {
        launch(multiply_symmetric, all_tiles, dim3(Tile<double>::threads), Tile<double>::shared_bytes, queue.stream(),
               table.get(), tile_table.get(), memory.get(), states, a, b, to);
    };
    if (newton) {
        iterate_newton(queue, tasks.get(), table.get(), each, memory.get(), p, multiply);
    } else {
        launch(widen<T>, each, threads, 0, queue.stream(), tasks.get(), table.get(), memory.get());
        find_bases(queue, group, problems, memory.get());
        launch(scale_basis<T>, each, threads, 0, queue.stream(), tasks.get(), table.get(), memory.get(), p);
        multiply(nullptr, eigh_V, eigh_V, eigh_X);
    }
    launch(judge_root<T>, each, threads, shared_bytes, queue.stream(), tasks.get(), table.get(), memory.get(), p,
           newton ? int{newton_result} : int{eigh_X});
}

template void inverse_root(const Queue&, std::span<const InverseRoot<float>>, Index, RootMethod);
template void inverse_root(const Queue&, std::span<const InverseRoot<double>>, Index, RootMethod);

}  // namespace curvblas::CURVBLAS_BACKEND
