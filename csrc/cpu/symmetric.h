// Symmetric matrices and products: half of the flops, the other half by mirroring.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/blas.h"
#include "queue.h"

namespace curvblas::cpu {

/// Mirrors the lower triangle of A (n, n), leading dimension n, into the upper one, or the upper one into the lower.
template <bool from_lower, class T>
void mirror(Index n, T* A) {
    constexpr Index block = 16;  // reads rows and writes columns: a block of both fits the first-level cache
    for (Index ib = 0; ib < n; ib += block)
        for (Index jb = 0; jb <= ib; jb += block)
            for (Index i = ib; i < std::min(ib + block, n); ++i)
                for (Index j = jb; j < std::min(jb + block, i); ++j) {
                    T &lower = A[i * n + j], &upper = A[j * n + i];
                    from_lower ? upper = lower : lower = upper;
                }
}

/// A range cut into `count` parts of about equal size: at least `least` parts where that leaves 64 a part.
struct Blocks {
    Index n, count, edge;

    Blocks(Index length, Index most, Index least) : n(length) {
        count = std::max((n + most - 1) / most, std::min(least, n / 64));
        count = std::max<Index>(count, 1);
        edge = ((n + count - 1) / count + 15) / 16 * 16;
        count = (n + edge - 1) / edge;
    }
    Index first(Index block) const { return block * edge; }
    Index size(Index block) const { return std::min(edge, n - block * edge); }
};

/// C = X X^T, full, for a contiguous X (n, k).
template <class T>
void square_of_rows(const Matrix<const T>& X, T* C) {
    constexpr Index small = 32;  // below it a product of twice the flops is faster than the BLAS's symmetric one
    const Index n = X.rows;
    if (n <= small) {
        blas::multiply<T>(X, {X.data, X.columns, n, 1, X.row_stride}, {C, n, n, n, 1});
        return mirror<false>(n, C);  // so that it is symmetric to the last bit
    }
    blas::square(n, X.columns, X.data, X.row_stride, C, n);
    mirror<false>(n, C);
}

/// The same in blocks, on all threads. What is computed depends on the shape only.
template <class T>
void square_of_rows(const Queue& queue, const Matrix<const T>& X, T* C) {
    const Index n = X.rows, k = X.columns, ld = X.row_stride;
    const Blocks blocks(n, 256, 4);
    std::vector<Item> items;
    for (Index i = 0; i < blocks.count; ++i)
        for (Index j = i; j < blocks.count; ++j) {
            const double flops = static_cast<double>(blocks.size(i)) * static_cast<double>(blocks.size(j) * k);
            items.push_back({i, j, 1, 0, (i == j ? 1 : 2) * flops});
        }
    queue.run(items, [&](const Item& item) {
        const Index i0 = blocks.first(item.task), j0 = blocks.first(item.first);
        const Index height = blocks.size(item.task), width = blocks.size(item.first);
        T* const tile = C + i0 * n + j0;
        if (i0 == j0)
            blas::square(height, k, X.data + i0 * ld, ld, tile, n);
        else
            blas::multiply<T>({X.data + i0 * ld, height, k, ld, 1}, {X.data + j0 * ld, k, width, 1, ld},
                              {tile, height, width, n, 1});
    });
    mirror<false>(n, C);
}

}  // namespace curvblas::cpu
