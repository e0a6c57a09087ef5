#include "kernels/triangular_solve.h"

#include <vector>

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int width = 32, solve_threads = 256;
constexpr int pitch = width + 1;  // columns of a staged square begin in different banks
constexpr int per_thread = width * width / solve_threads;
constexpr std::size_t shared_words = 2 * width * pitch;

/// `width` columns of one right-hand side, from column width * j: they need nothing of the others.
struct Block {
    int task, b, j;
};

/// Solves for the columns of one block, `width` rows at a time. All threads call its methods.
template <class T>
class Columns {
  public:
    __device__ Columns(const Matrix<const T>& L, const Matrix<T>& X, int j0)
        : L_(L),
          X_(X),
          n_(static_cast<int>(L.rows)),
          j0_(j0),
          triangle_(dynamic_shared<T>()),
          square_(triangle_ + width * pitch) {}

    /// X = L^-1 B, or L^-T B; B may be X.
    template <bool transposed, class From>
    __device__ void solve(const Matrix<From>& B) const {
        const int side = (n_ + width - 1) / width;
        for (int step = 0; step < side; ++step) {
            const int i = transposed ? side - 1 - step : step;
            T sum[per_thread];
#pragma unroll
            for (int q = 0; q < per_thread; ++q) {
                const bool inside = i * width + row(q) < n_ && j0_ + column() < X_.columns;
                sum[q] = inside ? T(B(i * width + row(q), j0_ + column())) : T(0);
            }
            for (int t = transposed ? side - 1 : 0; t != i; t += transposed ? -1 : 1)
                subtract_product<transposed>(sum, i, t);
            solve_diagonal<transposed>(sum, i);
        }
    }

  private:
    /// This thread's elements of a square: column `column()`, rows row(0) ... row(3).
    __device__ static int column() { return static_cast<int>(threadIdx.x) % width; }
    __device__ static int row(int q) { return static_cast<int>(threadIdx.x) / width + q * (solve_threads / width); }

    /// Stages square (i, j) of L at [row * pitch + column], zeros where there is nothing.
    __device__ void stage_triangle(int i, int j) const {
#pragma unroll
        for (int q = 0; q < per_thread; ++q) {
            const int r = i * width + row(q), c = j * width + column();
            triangle_[row(q) * pitch + column()] = r < n_ && c <= r ? L_(r, c) : T(0);
        }
    }

    /// sum -= L_it X_t, or L_ti^T X_t.
    template <bool transposed>
    __device__ void subtract_product(T (&sum)[per_thread], int i, int t) const {
        stage_triangle(transposed ? t : i, transposed ? i : t);
#pragma unroll
        for (int q = 0; q < per_thread; ++q) {
            const bool inside = t * width + row(q) < n_ && j0_ + column() < X_.columns;
            square_[row(q) * pitch + column()] = inside ? X_(t * width + row(q), j0_ + column()) : T(0);
        }
        __syncthreads();
#pragma unroll 8
        for (int k = 0; k < width; ++k) {
            const T x = square_[k * pitch + column()];
#pragma unroll
            for (int q = 0; q < per_thread; ++q)
                sum[q] = fma(-triangle_[transposed ? k * pitch + row(q) : row(q) * pitch + k], x, sum[q]);
        }
        __syncthreads();  // before the squares are staged again
    }

    /// X_i = L_ii^-1 sum, or L_ii^-T sum: a lane a column.
    template <bool transposed>
    __device__ void solve_diagonal(const T (&sum)[per_thread], int i) const {
        stage_triangle(i, i);
#pragma unroll
        for (int q = 0; q < per_thread; ++q) square_[row(q) * pitch + column()] = sum[q];
        __syncthreads();
        const int rows = min(width, n_ - i * width), j = column();
        if (threadIdx.x < width)
            for (int step = 0; step < rows; ++step) {
                const int r = transposed ? rows - 1 - step : step;
                T x = square_[r * pitch + j];
                for (int s = 0; s < step; ++s) {
                    const int t = transposed ? rows - 1 - s : s;
                    x = fma(-triangle_[transposed ? t * pitch + r : r * pitch + t], square_[t * pitch + j], x);
                }
                square_[r * pitch + j] = x / triangle_[r * pitch + r];
            }
        __syncthreads();
#pragma unroll
        for (int q = 0; q < per_thread; ++q)
            if (row(q) < rows && j0_ + j < X_.columns) X_(i * width + row(q), j0_ + j) = square_[row(q) * pitch + j];
        __syncthreads();  // the next rows read what other threads have stored
    }

    const Matrix<const T> L_;
    const Matrix<T> X_;
    const int n_, j0_;
    T *triangle_, *square_;
};

template <class T>
__global__ void __launch_bounds__(solve_threads)
    solve_columns(const TriangularSolve<T>* tasks, const Block* blocks, TriangularSystem system) {
    const Block block = blocks[blockIdx.x];
    const TriangularSolve<T> task = tasks[block.task];
    const Matrix<T> X = task.X[block.b];
    const Columns<T> columns(task.L[block.b], X, block.j * width);
    if (system == TriangularSystem::transposed)
        columns.template solve<true>(task.B[block.b]);
    else
        columns.template solve<false>(task.B[block.b]);
    if (system == TriangularSystem::cholesky) columns.template solve<true>(X);
}

}  // namespace

template <class T>
void triangular_solve(const Queue& queue, std::span<const TriangularSolve<T>> group, TriangularSystem system) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const auto& B = group[t].B;
        const int columns = B.rows == 0 ? 0 : static_cast<int>((B.columns + width - 1) / width);
        for (int b = 0; b < counted(B.batch); ++b)
            for (int j = 0; j < columns; ++j) blocks.push_back({t, b, j});
    }
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(solve_columns<T>, dim3(grid_for(blocks)), dim3(solve_threads), shared_words * sizeof(T), queue.stream(),
           tasks.get(), table.get(), system);
}

template void triangular_solve(const Queue&, std::span<const TriangularSolve<float>>, TriangularSystem);
template void triangular_solve(const Queue&, std::span<const TriangularSolve<double>>, TriangularSystem);

}  // namespace curvblas::CURVBLAS_BACKEND
