// Tiles of products of whole groups: a table with one entry for each 64 x 64 tile, and what a block of threads does
// with its own.
#pragma once

#include <vector>

#include "cuda/tile.cuh"

namespace curvblas::CURVBLAS_BACKEND {

/// Rows from 64 i and columns from 64 j of the product of one problem.
struct TileOf {
    int problem, i, j;
};

/// The tiles of a rows x columns product; with `lower`, those on and below the diagonal.
inline void append_tiles(std::vector<TileOf>& tiles, int problem, Index rows, Index columns, bool lower) {
    constexpr int edge = Tile<float>::edge;
    static_assert(edge == Tile<double>::edge);
    const int height = static_cast<int>((rows + edge - 1) / edge),
              width = static_cast<int>((columns + edge - 1) / edge);
    for (int i = 0; i < height; ++i)
        for (int j = 0; j < (lower ? i + 1 : width); ++j) tiles.push_back({problem, i, j});
}

/// Calls store(i, j, sum) for the elements of tile (i, j) of A B.
template <class T, class Store>
__device__ void product_tile(const Matrix<const T>& A, const Matrix<const T>& B, int i, int j, const Store& store) {
    const Index i0 = Index{i} * Tile<T>::edge, j0 = Index{j} * Tile<T>::edge;
    const Panel<T> a{A.data, A.columns, A.rows, A.column_stride, A.row_stride};
    const Panel<T> b{B.data, B.rows, B.columns, B.row_stride, B.column_stride};
    Tile<T> tile;
    tile.accumulate(
        A.columns, [&](T* to, Index k0) { a.stage(to, k0, i0); }, [&](T* to, Index k0) { b.stage(to, k0, j0); });
    tile.for_each([&](int di, int dj, T& sum) {
        if (i0 + di < A.rows && j0 + dj < B.columns) store(i0 + di, j0 + dj, sum);
    });
}

/// Calls store(i, j, sum) for the elements on and below the diagonal of tile (i, j) of A A^T.
template <class T, class Store>
__device__ void symmetric_tile(const Matrix<const T>& A, int i, int j, const Store& store) {
    const Matrix<const T> transposed{A.data, A.columns, A.rows, A.column_stride, A.row_stride};
    product_tile(A, transposed, i, j, [&](Index row, Index column, T sum) {
        if (column <= row) store(row, column, sum);
    });
}

}  // namespace curvblas::CURVBLAS_BACKEND
