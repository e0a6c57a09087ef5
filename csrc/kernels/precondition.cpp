#include "kernels/precondition.h"

#include <algorithm>

#include "cpu/blas.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

/// Rows of P that one item computes: P[rows, :] = (G_inv[rows, :] V) A_inv needs nothing of the other rows. Blocks of
/// about equal size, and large, because the BLAS packs V and A_inv anew for each of them.
Index block_rows(Index m) {
    constexpr Index most = 384;
    const Index blocks = (m + most - 1) / most;
    return (m + blocks - 1) / blocks;
}

template <class T>
void multiply_block(const Precondition<T>& task, Index b, Index first, Index rows) {
    const Matrix<const T> V = task.V[b], A_inv = task.A_inv[b], G_inv = task.G_inv[b];
    const Matrix<T> P = task.P[b];
    const Index m = V.rows, n = V.columns;
    const bool direct = P.column_stride == 1 && blas::is_blas(P);
    Index need = bytes<T>(rows * n) + (direct ? 0 : bytes<T>(rows * n));
    for (const auto& A : {V, A_inv, G_inv})
        if (!blas::is_blas(A)) need += bytes<T>(A.rows * A.columns);
    Scratch<Precondition<T>> scratch(need);

    const Matrix<const T> G_rows{G_inv.row(first), rows, m, G_inv.row_stride, G_inv.column_stride};
    T* const half = scratch.template take<T>(rows * n);
    blas::multiply<T>(blas::readable(G_rows, scratch), blas::readable(V, scratch), {half, rows, n, n, 1});
    const Matrix<T> target{P.row(first), rows, n, P.row_stride, P.column_stride};
    const Matrix<T> product = direct ? target : Matrix<T>{scratch.template take<T>(rows * n), rows, n, n, 1};
    blas::multiply<T>({half, rows, n, n, 1}, blas::readable(A_inv, scratch), product);
    if (direct) return;
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < n; ++j) target(i, j) = product(i, j);
}

}  // namespace

template <class T>
void precondition(const Queue& queue, std::span<const Precondition<T>> group) {
    blas::stay_on_one_thread();
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto& V = group[t].V;
        const Index m = V.rows, n = V.columns;
        if (m == 0 || n == 0) continue;
        const double flops_per_row = 2.0 * static_cast<double>(n) * static_cast<double>(m + n);
        const Index block = block_rows(m);
        if (block == m) {
            Queue::append_batches(items, t, V.batch, 2000 + flops_per_row * static_cast<double>(m));
            continue;
        }
        for (Index b = 0; b < V.batch; ++b)
            for (Index first = 0; first < m; first += block) {
                const double rows = static_cast<double>(std::min(block, m - first));
                items.push_back({t, b, 1, first, flops_per_row * rows});
            }
    }
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        const Index rows = std::min(block_rows(task.V.rows), task.V.rows - item.part);
        for (Index b = item.first; b < item.first + item.count; ++b) multiply_block(task, b, item.part, rows);
    });
}

template void precondition(const Queue&, std::span<const Precondition<float>>);
template void precondition(const Queue&, std::span<const Precondition<double>>);

}  // namespace curvblas::cpu
