#include "kernels/newton_schulz.h"

#include <utility>
#include <vector>

#include "cuda/products.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int norm_threads = 256;

/// The working memory of one matrix, in elements: X and the next X (s, l), A and M (s, s).
struct Problem {
    int task, b;
    Index s, l, X[2], A, M;
};

/// The matrix itself, or its transpose if that is the wide one.
template <class T>
__device__ Matrix<T> wide(const Matrix<T>& B) {
    return B.rows <= B.columns ? B : Matrix<T>{B.data, B.columns, B.rows, B.column_stride, B.row_stride};
}

/// X = B / (||B||_F + epsilon); NaN where the norm is not finite. A block of threads a matrix.
template <class T>
__global__ void __launch_bounds__(norm_threads, 1)
    load_normalised(const NewtonSchulz<T>* tasks, const Problem* problems, T* memory) {
    const Problem& problem = problems[blockIdx.x];
    const Matrix<const T> B = wide(tasks[problem.task].B[problem.b]);
    double* const shared = dynamic_shared<double>();
    const auto element = [&](Index e) { return static_cast<double>(B(e / problem.l, e % problem.l)); };
    const Index size = problem.s * problem.l;
    double largest = 0;
    for (Index e = threadIdx.x; e < size; e += norm_threads) {
        const double x = fabs(element(e));
        largest = x > largest || isnan(x) ? x : largest;
    }
    largest = block_reduce(largest, [](double a, double b) { return a > b || isnan(a) ? a : b; }, shared);
    // Squares of what is relative to the unit neither overflow nor vanish.
    const double unit = largest > 1e-300 ? largest : 1, inverse = 1 / unit;
    double sum = 0;
    for (Index e = threadIdx.x; e < size; e += norm_threads) sum = fma(element(e) * inverse, element(e) * inverse, sum);
    const double norm = unit * sqrt(block_sum(sum, shared));
    const double factor = isfinite(norm) ? 1 / (norm + newton_schulz_epsilon) : NAN;
    for (Index e = threadIdx.x; e < size; e += norm_threads)
        memory[problem.X[0] + e] = static_cast<T>(element(e) * factor);
}

template <class T>
__global__ void __launch_bounds__(norm_threads)
    store_iterates(const NewtonSchulz<T>* tasks, const Problem* problems, const T* memory, int which) {
    const Problem& problem = problems[blockIdx.x];
    const Matrix<T> X = wide(tasks[problem.task].X[problem.b]);
    for (Index e = threadIdx.x; e < problem.s * problem.l; e += norm_threads)
        X(e / problem.l, e % problem.l) = memory[problem.X[which] + e];
}

/// A = X X^T, a tile of it and its mirror image.
template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    multiply_gram(const Problem* problems, const TileOf* tiles, T* memory, int which) {
    const TileOf tile = tiles[blockIdx.x];
    const Problem& p = problems[tile.problem];
    const Matrix<const T> X{memory + p.X[which], p.s, p.l, p.l, 1};
    T* const A = memory + p.A;
    symmetric_tile(X, tile.i, tile.j, [&](Index i, Index j, T sum) { A[i * p.s + j] = A[j * p.s + i] = sum; });
}

/// M = a I + b A + c A^2, a tile of it and its mirror image.
template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    form_polynomial(const Problem* problems, const TileOf* tiles, T* memory, T a, T b, T c) {
    const TileOf tile = tiles[blockIdx.x];
    const Problem& p = problems[tile.problem];
    const T* const A = memory + p.A;
    T* const M = memory + p.M;
    symmetric_tile(Matrix<const T>{A, p.s, p.s, p.s, 1}, tile.i, tile.j, [&](Index i, Index j, T sum) {
        M[i * p.s + j] = M[j * p.s + i] = fma(c, sum, b * A[i * p.s + j]) + (i == j ? a : T(0));
    });
}

/// The next X = M X.
template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    multiply_polynomial(const Problem* problems, const TileOf* tiles, T* memory, int which) {
    const TileOf tile = tiles[blockIdx.x];
    const Problem& p = problems[tile.problem];
    T* const next = memory + p.X[1 - which];
    product_tile(Matrix<const T>{memory + p.M, p.s, p.s, p.s, 1},
                 Matrix<const T>{memory + p.X[which], p.s, p.l, p.l, 1}, tile.i, tile.j,
                 [&](Index i, Index j, T sum) { next[i * p.l + j] = sum; });
}

}  // namespace

template <class T>
void newton_schulz(const Queue& queue, std::span<const NewtonSchulz<T>> group, const NewtonSchulzSteps& steps) {
    std::vector<Problem> problems;
    std::vector<TileOf> triangle, rectangle;
    Index size = 0;
    const auto take = [&](Index count) { return std::exchange(size, size + (count + 63) / 64 * 64); };
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const auto& B = group[t].B;
        const Index s = min(B.rows, B.columns), l = max(B.rows, B.columns);
        if (s == 0) continue;
        for (int b = 0; b < counted(B.batch); ++b) {
            const int problem = counted(static_cast<Index>(problems.size()));
            append_tiles(triangle, problem, s, s, true);
            append_tiles(rectangle, problem, s, l, false);
            const Index X = take(s * l), next = take(s * l), A = take(s * s), M = take(s * s);
            problems.push_back({t, b, s, l, {X, next}, A, M});
        }
    }
    if (problems.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Problem>(problems));
    const auto triangles = queue.copy_of(std::span<const TileOf>(triangle));
    const auto rectangles = queue.copy_of(std::span<const TileOf>(rectangle));
    const auto memory = queue.scratch<T>(size);
    const dim3 each(grid_for(problems)), tile_threads(Tile<T>::threads);
    launch(load_normalised<T>, each, dim3(norm_threads), most_warps * sizeof(double), queue.stream(), tasks.get(),
           table.get(), memory.get());
    int which = 0;
    for (Index step = 0; step < steps.count; ++step, which = 1 - which) {
        launch(multiply_gram<T>, dim3(grid_for(triangle)), tile_threads, Tile<T>::shared_bytes, queue.stream(),
               table.get(), triangles.get(), memory.get(), which);
        launch(form_polynomial<T>, dim3(grid_for(triangle)), tile_threads, Tile<T>::shared_bytes, queue.stream(),
               table.get(), triangles.get(), memory.get(), static_cast<T>(steps.a), static_cast<T>(steps.b),
               static_cast<T>(steps.c));
        launch(multiply_polynomial<T>, dim3(grid_for(rectangle)), tile_threads, Tile<T>::shared_bytes, queue.stream(),
               table.get(), rectangles.get(), memory.get(), which);
    }
    launch(store_iterates<T>, each, dim3(norm_threads), 0, queue.stream(), tasks.get(), table.get(), memory.get(),
           which);
}

template void newton_schulz(const Queue&, std::span<const NewtonSchulz<float>>, const NewtonSchulzSteps&);
template void newton_schulz(const Queue&, std::span<const NewtonSchulz<double>>, const NewtonSchulzSteps&);

}  // namespace curvblas::CURVBLAS_BACKEND
