// Symmetric matrices and products: half of the flops, the other half by mirroring.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/product.h"
#include "cpu/queue.h"
#include "cpu/scratch.h"
#include "cpu/transpose.h"

namespace curvblas::cpu {

/// A range cut into `count` parts of about equal size: at least `least` parts where that leaves 64 a part.
struct EvenParts {
    Index n, count, edge;

    EvenParts(Index length, Index most, Index least) : n(length) {
        count = std::max((n + most - 1) / most, std::min(least, n / 64));
        count = std::max<Index>(count, 1);
        edge = std::max<Index>(((n + count - 1) / count + 15) / 16 * 16, 16);
        count = (n + edge - 1) / edge;
    }
    Index first(Index block) const { return block * edge; }
    Index size(Index block) const { return std::min(edge, n - block * edge); }
};

/// A = scale(C), full, exactly symmetric, from the lower triangle of C; scale maps doubles. Rows of A lie `ld` apart.
template <class T, class W, class Scale>
void copy_symmetric(const Micro& micro, const Matrix<const T>& C, const Scale& scale, W* A, Index ld) {
    const Index n = C.rows;
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j <= i; ++j) A[i * ld + j] = static_cast<W>(scale(static_cast<double>(C(i, j))));
    mirror(micro, n, A, ld);
}
template <class T, class W, class Scale>
void copy_symmetric(const Micro& micro, const Matrix<const T>& C, const Scale& scale, W* A) {
    copy_symmetric(micro, C, scale, A, C.rows);
}

/// C = X X^T, full, exactly symmetric, for a contiguous X (n, k); one strip of rows after the other, up to its
/// diagonal.
template <class T>
void square_of_rows(const Micro& micro, const Matrix<const T>& X, T* C) {
    constexpr Index strip = 64;
    const Index n = X.rows, k = X.columns;
    struct Memory;
    Scratch<Memory> scratch(bytes<T>(n * k));
    T* const Xt = scratch.template take<T>(n * k);
    transpose<T, T>(micro, k, n, X.data, X.row_stride, T(1), Xt, n);
    for (Index i = 0; i < n; i += strip) {
        const Index height = std::min(strip, n - i);
        cpu::multiply<T>(micro, {X.row(i), height, k, X.row_stride, 1}, {Xt, k, i + height, n, 1},
                         {C + i * n, height, i + height, n, 1});
    }
    mirror(micro, n, C, n);
}

/// The same in blocks, on all threads. What is computed depends on the shape only.
template <class T>
void square_of_rows(const Queue& queue, const Matrix<const T>& X, T* C) {
    const Index n = X.rows, k = X.columns;
    const EvenParts blocks(n, 256, 4);
    std::vector<Item> items;
    for (Index i = 0; i < blocks.count; ++i)
        for (Index j = 0; j <= i; ++j)
            items.push_back({i, j, 1, 0, cost_of_products<T>(1, blocks.size(i), k, blocks.size(j))});
    queue.run(items, [&](const Item& item) {
        const Index i = blocks.first(item.task), j = blocks.first(item.first);
        const Index height = blocks.size(item.task), width = blocks.size(item.first);
        cpu::multiply<T>(queue.micro(), {X.row(i), height, k, X.row_stride, 1}, {X.row(j), k, width, 1, X.row_stride},
                         {C + i * n + j, height, width, n, 1});
    });
    mirror(queue.micro(), n, C, n);
}

}  // namespace curvblas::cpu
