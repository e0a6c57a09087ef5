#include "kernels/newton_inverse.h"

#include <utility>
#include <vector>

#include "cuda/products.cuh"
#include "kernels/newton_contraction.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int newton_threads = 256, newton_warps = newton_threads / 32, strip = 64;

/// One matrix, and where its working memory begins: A, X, the next X and R (n, n), the squares of the norms of the rows
/// of A and of X (2 n), those of the tiles of R, and tr(R^2) by tiles; all counted in doubles.
struct Problem {
    int task, b;
    Index n, A, X[2], R, rows, squares, traces, tile_count;  ///< tiles along an edge
};

/// What the iteration knows of one matrix. It has no padding, which nobody would write and copies would read.
struct NewtonState {
    Contraction contraction;
    Index which;  ///< the slot of X
};

/// Whether a matrix is done with, accepted or left.
__device__ bool is_done(const NewtonState& state) { return state.contraction.verdict != Contraction::go_on; }

/// A and X_0 of a strip of rows, in float64, and the squares of their norms: a warp a row. What is not to be begun has
/// NaN for squares.
template <class T>
__global__ void __launch_bounds__(newton_threads)
    load_warm_start(const NewtonInverse<T>* tasks, const Problem* problems, const TileOf* strips, double* memory) {
    const TileOf own = strips[blockIdx.x];
    const Problem& problem = problems[own.problem];
    const NewtonInverse<T> task = tasks[problem.task];
    const Matrix<const T> C = task.C[problem.b], X_0 = task.X_0[problem.b];
    const Index n = problem.n, end = min(n, (Index{own.i} + 1) * strip);
    const double damping = task.damping[problem.b];
    const bool is_valid = damping >= 0 && !isinf(damping);
    for (Index i = Index{own.i} * strip + threadIdx.x / warp_size; i < end; i += newton_warps) {
        double squares_A = 0, squares_X = 0;
        for (Index j = threadIdx.x % warp_size; j < n; j += warp_size) {
            const double c = static_cast<double>(i < j ? C(j, i) : C(i, j)), a = i == j ? c + damping : c;
            const double x = static_cast<double>(i < j ? X_0(j, i) : X_0(i, j));
            memory[problem.A + i * n + j] = a, memory[problem.X[0] + i * n + j] = x;
            squares_A = fma(a, a, squares_A), squares_X = fma(x, x, squares_X);
            if (i == j && !(is_valid && a > 0 && x > 0)) squares_A = NAN;
        }
        squares_A = warp_sum(squares_A), squares_X = warp_sum(squares_X);
        if (threadIdx.x % warp_size > 0) continue;
        memory[problem.rows + i] = squares_A, memory[problem.rows + n + i] = squares_X;
    }
}

/// No matrix is done, and some never will be: a block of threads a matrix.
template <class T>
__global__ void __launch_bounds__(newton_threads)
    begin_contraction(const NewtonInverse<T>* tasks, const Problem* problems, const double* memory,
                      NewtonState* states) {
    const Problem& problem = problems[blockIdx.x];
    double* const shared = dynamic_shared<double>();
    double squares[2] = {}, longest[2] = {};
    for (int k = 0; k < 2; ++k) {
        for (Index i = threadIdx.x; i < problem.n; i += newton_threads) {
            const double row = memory[problem.rows + k * problem.n + i];
            squares[k] += row, longest[k] = fmax(longest[k], row);  // NaN is in the sum
        }
        squares[k] = block_sum(squares[k], shared);
        longest[k] = block_reduce(longest[k], [](double a, double b) { return fmax(a, b); }, shared);
    }
    constexpr double epsilon = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;
    if (threadIdx.x > 0) return;
    tasks[problem.task].reports.status[problem.b] = Status::no_convergence;
    states[blockIdx.x] = {{problem.n, epsilon, squares[0], squares[1], longest[0], longest[1]}, 0};
}

/// R = I - A X, a tile of it, and the sum of its squares.
__global__ void __launch_bounds__(Tile<double>::threads, Tile<double>::resident)
    measure_contraction(const Problem* problems, const TileOf* tiles, double* memory, const NewtonState* states,
                        int which) {
    const TileOf tile = tiles[blockIdx.x];
    const Problem& problem = problems[tile.problem];
    if (is_done(states[tile.problem])) return;
    const Index n = problem.n;
    double* const R = memory + problem.R;
    double squares = 0;
    // A is symmetric: transposed, its panels are neighbours in memory.
    product_tile(Matrix<const double>{memory + problem.A, n, n, 1, n},
                 Matrix<const double>{memory + problem.X[which], n, n, n, 1}, tile.i, tile.j,
                 [&](Index i, Index j, double sum) {
                     const double r = (i == j ? 1 : 0) - sum;
                     R[i * n + j] = r, squares = fma(r, r, squares);
                 });
    squares = block_sum(squares, dynamic_shared<double>());
    if (threadIdx.x == 0) memory[problem.squares + tile.i * problem.tile_count + tile.j] = squares;
}

/// What the elements of a tile of R and those of its mirror image add to tr(R^2).
__global__ void __launch_bounds__(newton_threads)
    sum_mirrored(const Problem* problems, const TileOf* tiles, double* memory, const NewtonState* states) {
    const TileOf tile = tiles[blockIdx.x];
    const Problem& problem = problems[tile.problem];
    if (is_done(states[tile.problem])) return;
    constexpr int edge = Tile<double>::edge;
    const Index n = problem.n, i0 = Index{tile.i} * edge, j0 = Index{tile.j} * edge;
    const double* const R = memory + problem.R;
    double sum = 0;
    for (int e = static_cast<int>(threadIdx.x); e < edge * edge; e += newton_threads) {
        const Index i = i0 + e / edge, j = j0 + e % edge;
        if (i < n && j < n) sum = fma(R[i * n + j], R[j * n + i], sum);
    }
    sum = block_sum(sum, dynamic_shared<double>());
    const Index own = Index{tile.i} * (tile.i + 1) / 2 + tile.j;
    if (threadIdx.x == 0) memory[problem.traces + own] = tile.i == tile.j ? sum : 2 * sum;
}

/// Whether to go on, and the report of a matrix that is accepted: a block of threads a matrix.
template <class T>
__global__ void __launch_bounds__(newton_threads)
    look_at_contraction(const NewtonInverse<T>* tasks, const Problem* problems, const double* memory,
                        NewtonState* states, int which) {
    const Problem& problem = problems[blockIdx.x];
    NewtonState state = states[blockIdx.x];
    if (is_done(state)) return;
    double squares = 0, trace = 0;
    for (Index i = threadIdx.x; i < problem.tile_count * problem.tile_count; i += newton_threads)
        squares += memory[problem.squares + i];
    for (Index i = threadIdx.x; i < problem.tile_count * (problem.tile_count + 1) / 2; i += newton_threads)
        trace += memory[problem.traces + i];
    double* const shared = dynamic_shared<double>();
    const double norm = sqrt(block_sum(squares, shared));
    trace = block_sum(trace, shared);
    if (threadIdx.x > 0) return;
    state.contraction.look(norm, trace), state.which = which;
    states[blockIdx.x] = state;
    if (state.contraction.verdict != Contraction::accepted) return;
    const InverseReports& reports = tasks[problem.task].reports;
    reports.status[problem.b] = Status::ok, reports.jitter[problem.b] = 0, reports.log_det[problem.b] = NAN;
    reports.residual[problem.b] = norm + state.contraction.noise, reports.minor[problem.b] = 0;
}

/// The next X = X + X R, rounded to T, a tile of its lower triangle and the mirror image.
template <class T>
__global__ void __launch_bounds__(Tile<double>::threads, Tile<double>::resident)
    step_inverse(const Problem* problems, const TileOf* tiles, double* memory, const NewtonState* states, int which) {
    const TileOf tile = tiles[blockIdx.x];
    const Problem& problem = problems[tile.problem];
    if (is_done(states[tile.problem])) return;
    const Index n = problem.n;
    const double* const X = memory + problem.X[which];
    double* const next = memory + problem.X[1 - which];
    product_tile(Matrix<const double>{X, n, n, 1, n}, Matrix<const double>{memory + problem.R, n, n, n, 1}, tile.i,
                 tile.j, [&](Index i, Index j, double sum) {
                     if (j > i) return;
                     const auto x = static_cast<T>(X[i * n + j] + sum);
                     next[i * n + j] = next[j * n + i] = static_cast<double>(x);
                 });
}

/// The X of those that are accepted: a strip of rows.
template <class T>
__global__ void __launch_bounds__(newton_threads)
    store_inverse(const NewtonInverse<T>* tasks, const Problem* problems, const TileOf* strips, const double* memory,
                  const NewtonState* states) {
    const TileOf own = strips[blockIdx.x];
    const Problem& problem = problems[own.problem];
    const NewtonState& state = states[own.problem];
    if (state.contraction.verdict != Contraction::accepted) return;
    const Matrix<T> X = tasks[problem.task].X[problem.b];
    const Index n = problem.n, end = min(n, (Index{own.i} + 1) * strip);
    const double* const from = memory + problem.X[state.which];
    for (Index i = Index{own.i} * strip + threadIdx.x / warp_size; i < end; i += newton_warps)
        for (Index j = threadIdx.x % warp_size; j < n; j += warp_size) X(i, j) = static_cast<T>(from[i * n + j]);
}

/// The tables of a group.
struct Work {
    std::vector<Problem> problems;
    std::vector<TileOf> strips, square, triangle;
    Index size = 0;  ///< of the working memory

    Index take(Index count) { return std::exchange(size, size + (count + 31) / 32 * 32); }
    void append(int task, int b, Index n) {
        const int problem = counted(static_cast<Index>(problems.size()));
        for (int i = 0; i < (n + strip - 1) / strip; ++i) strips.push_back({problem, i, 0});
        append_tiles(square, problem, n, n, false);
        append_tiles(triangle, problem, n, n, true);
        const Index A = take(n * n), X = take(n * n), next = take(n * n), R = take(n * n), rows = take(2 * n);
        const Index count = (n + Tile<double>::edge - 1) / Tile<double>::edge;
        const Index squares = take(count * count), traces = take(count * (count + 1) / 2);
        problems.push_back({task, b, n, A, {X, next}, R, rows, squares, traces, count});
    }
};

}  // namespace

template <class T>
void newton_inverse(const Queue& queue, std::span<const NewtonInverse<T>> group) {
    Work work;
    for (int t = 0; t < static_cast<int>(group.size()); ++t)
        for (int b = 0; b < counted(group[t].C.batch); ++b) work.append(t, b, group[t].C.rows);
    if (work.problems.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto problems = queue.copy_of(std::span<const Problem>(work.problems));
    const auto strips = queue.copy_of(std::span<const TileOf>(work.strips));
    const auto square = queue.copy_of(std::span<const TileOf>(work.square));
    const auto triangle = queue.copy_of(std::span<const TileOf>(work.triangle));
    const auto memory = queue.scratch<double>(work.size);
    const auto states = queue.scratch<NewtonState>(static_cast<Index>(work.problems.size()));
    const dim3 each(grid_for(work.problems)), threads(newton_threads), tile_threads(Tile<double>::threads);
    constexpr std::size_t reduction = most_warps * sizeof(double);
    const bool has_elements = !work.strips.empty();
    if (has_elements)
        launch(load_warm_start<T>, dim3(grid_for(work.strips)), threads, 0, queue.stream(), tasks.get(), problems.get(),
               strips.get(), memory.get());
    launch(begin_contraction<T>, each, threads, reduction, queue.stream(), tasks.get(), problems.get(), memory.get(),
           states.get());
    for (int look = 0, which = 0; look < Contraction::most_looks; ++look, which = 1 - which) {
        if (has_elements) {
            launch(measure_contraction, dim3(grid_for(work.square)), tile_threads, Tile<double>::shared_bytes,
                   queue.stream(), problems.get(), square.get(), memory.get(), states.get(), which);
            launch(sum_mirrored, dim3(grid_for(work.triangle)), threads, reduction, queue.stream(), problems.get(),
                   triangle.get(), memory.get(), states.get());
        }
        launch(look_at_contraction<T>, each, threads, reduction, queue.stream(), tasks.get(), problems.get(),
               memory.get(), states.get(), which);
        if (has_elements && look + 1 < Contraction::most_looks)
            launch(step_inverse<T>, dim3(grid_for(work.triangle)), tile_threads, Tile<double>::shared_bytes,
                   queue.stream(), problems.get(), triangle.get(), memory.get(), states.get(), which);
    }
    if (has_elements)
        launch(store_inverse<T>, dim3(grid_for(work.strips)), threads, 0, queue.stream(), tasks.get(), problems.get(),
               strips.get(), memory.get(), states.get());
}

template void newton_inverse(const Queue&, std::span<const NewtonInverse<float>>);
template void newton_inverse(const Queue&, std::span<const NewtonInverse<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
