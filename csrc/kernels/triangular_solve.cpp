#include "kernels/triangular_solve.h"

#include <algorithm>

#include "cpu/blas.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

/// Right-hand sides that one item solves for: they need nothing of each other. Few blocks, because the BLAS packs L
/// anew for each of them.
Index block_columns(Index n, Index k) {
    const Index most = n >= 256 ? 256 : 1024;
    const Index blocks = (k + most - 1) / most;
    return (k + blocks - 1) / blocks;
}

template <class T>
void copy(const Matrix<const T>& from, const Matrix<T>& to) {
    for (Index i = 0; i < from.rows; ++i) {
        if (from.column_stride == 1 && to.column_stride == 1)
            std::copy_n(from.row(i), from.columns, to.row(i));
        else
            for (Index j = 0; j < from.columns; ++j) to(i, j) = from(i, j);
    }
}

template <class T>
void solve_block(const TriangularSolve<T>& task, Index b, Index first, Index columns, TriangularSystem system) {
    const Matrix<const T> L = task.L[b], B = task.B[b];
    const Matrix<T> X = task.X[b];
    const Index n = L.rows;
    const Matrix<const T> given{&B(0, first), n, columns, B.row_stride, B.column_stride};
    const Matrix<T> target{&X(0, first), n, columns, X.row_stride, X.column_stride};
    const bool direct = target.column_stride == 1 && blas::is_blas(target);
    Scratch<TriangularSolve<T>> scratch((blas::is_blas(L) ? 0 : bytes<T>(n * n)) +
                                        (direct ? 0 : bytes<T>(n * columns)));
    const Matrix<const T> triangle = blas::readable(L, scratch);
    const Matrix<T> solution =
        direct ? target : Matrix<T>{scratch.template take<T>(n * columns), n, columns, columns, 1};
    copy(given, solution);
    if (system != TriangularSystem::transposed) blas::solve_lower(triangle, false, solution);
    if (system != TriangularSystem::lower) blas::solve_lower(triangle, true, solution);
    if (!direct) copy<T>({solution.data, n, columns, columns, 1}, target);
}

}  // namespace

template <class T>
void triangular_solve(const Queue& queue, std::span<const TriangularSolve<T>> group, TriangularSystem system) {
    blas::stay_on_one_thread();
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Index n = group[t].B.rows, k = group[t].B.columns;
        if (n == 0 || k == 0) continue;
        const double cost_of_column = static_cast<double>(n) * static_cast<double>(n + 8);
        const Index block = block_columns(n, k);
        if (block == k) {
            Queue::append_batches(items, t, group[t].B.batch, 2000 + cost_of_column * static_cast<double>(k));
            continue;
        }
        for (Index b = 0; b < group[t].B.batch; ++b)
            for (Index first = 0; first < k; first += block)
                items.push_back({t, b, 1, first, cost_of_column * static_cast<double>(std::min(block, k - first))});
    }
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        const Index k = task.B.columns, columns = std::min(block_columns(task.B.rows, k), k - item.part);
        for (Index b = item.first; b < item.first + item.count; ++b) solve_block(task, b, item.part, columns, system);
    });
}

template void triangular_solve(const Queue&, std::span<const TriangularSolve<float>>, TriangularSystem);
template void triangular_solve(const Queue&, std::span<const TriangularSolve<double>>, TriangularSystem);

}  // namespace curvblas::cpu
