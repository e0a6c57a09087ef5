#include "kernels/precondition_eigen.h"

#include "cpu/two_sided.h"

namespace curvblas::cpu {
namespace {

struct OfGroup {};
struct OfMatrix {};

template <class T>
double largest_value(const Matrix<const T>& values) {
    double largest = 0;
    for (Index i = 0; i < values.rows; ++i)
        for (Index j = 0; j < values.columns; ++j) {
            const double value = Denominators<T>::clamped(values(i, j));
            if (value > largest) largest = value;
        }
    return largest;
}

/// M, which is the block of (m, n) that begins at row i0, column j0, is divided by curvature and damping.
template <class T>
void divide(const PreconditionEigen<T>& task, Index b, Index i0, Index j0, const Matrix<T>& M) {
    const Matrix<const T> S = task.S[b], A_values = task.A_values[b], G_values = task.G_values[b];
    const bool measured = S.data != nullptr;
    // Looked for only where it is needed.
    const double largest = task.damping[b] != 0 ? 0
                           : measured           ? largest_value(S)
                                                : largest_value(A_values) * largest_value(G_values);
    const Denominators<T> denominators(task, b, largest);
    Scratch<OfMatrix> scratch(bytes<double>(M.columns));
    double* const columns = scratch.template take<double>(M.columns);
    for (Index j = 0; !measured && j < M.columns; ++j) columns[j] = Denominators<T>::clamped(A_values(0, j0 + j));
    for (Index i = 0; i < M.rows; ++i) {
        T* const x = M.row(i);
        if (measured) {
            for (Index j = 0; j < M.columns; ++j)
                x[j] = denominators.divide(x[j], Denominators<T>::clamped(S(i0 + i, j0 + j)));
        } else {
            const double row = Denominators<T>::clamped(G_values(0, i0 + i));
            for (Index j = 0; j < M.columns; ++j) x[j] = denominators.divide(x[j], row * columns[j]);
        }
    }
}

/// One block of (Q_G^T V Q_A) / (curvature + damping).
template <class T>
void rotate_and_divide(const Micro& micro, const PreconditionEigen<T>& task, Index b, Index block, const Matrix<T>& M) {
    const TwoSided product(M.rows, M.columns);
    const Matrix<T> part = product.part(M, block);
    product.multiply(micro, transposed(task.Q_G[b]), task.V[b], task.Q_A[b], block, part);
    const Index first = product.range(block).first;
    product.by_rows() ? divide(task, b, first, 0, part) : divide(task, b, 0, first, part);
}

/// One block of P = Q_G M Q_A^T.
template <class T>
void rotate_back(const Micro& micro, const PreconditionEigen<T>& task, Index b, Index block, const Matrix<T>& M) {
    const TwoSided product(M.rows, M.columns);
    product.multiply(micro, task.Q_G[b], read_only(M), transposed(task.Q_A[b]), block, product.part(task.P[b], block));
}

}  // namespace

template <class T>
void precondition_eigen(const Queue& queue, std::span<const PreconditionEigen<T>> group) {
    // Matrices of one block are done by one item. Of the others all blocks are rotated before any is rotated back.
    std::vector<Item> items, rotations;
    std::vector<Index> begins;
    Index size = 0;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Index m = group[t].V.rows, n = group[t].V.columns, batch = group[t].V.batch;
        const TwoSided product(m, n);
        begins.push_back(size);
        if (m == 0 || n == 0) continue;
        const double cost = 2 * product.template cost<T>() + 30 * static_cast<double>(m * n);
        product.append_items(items, t, batch, cost);
        if (product.blocks() == 1) continue;
        product.append_items(rotations, t, batch, cost);
        size += batch * m * n;
    }
    Scratch<OfGroup> shared(bytes<T>(size));
    T* const rotated = shared.template take<T>(size);
    const auto rotated_matrix = [&](const Item& item) -> Matrix<T> {
        const Index m = group[item.task].V.rows, n = group[item.task].V.columns;
        return {rotated + begins[item.task] + item.first * m * n, m, n, n, 1};
    };
    queue.run(items, [&](const Item& item) {
        const auto& task = group[item.task];
        const Index m = task.V.rows, n = task.V.columns;
        if (TwoSided(m, n).blocks() > 1)
            return rotate_and_divide(queue.micro(), task, item.first, item.part, rotated_matrix(item));
        Scratch<PreconditionEigen<T>> scratch(bytes<T>(m * n));
        const Matrix<T> M{scratch.template take<T>(m * n), m, n, n, 1};
        for (Index b = item.first; b < item.first + item.count; ++b) {
            rotate_and_divide(queue.micro(), task, b, 0, M);
            rotate_back(queue.micro(), task, b, 0, M);
        }
    });
    queue.run(rotations, [&](const Item& item) {
        rotate_back(queue.micro(), group[item.task], item.first, item.part, rotated_matrix(item));
    });
}

template void precondition_eigen(const Queue&, std::span<const PreconditionEigen<float>>);
template void precondition_eigen(const Queue&, std::span<const PreconditionEigen<double>>);

}  // namespace curvblas::cpu
