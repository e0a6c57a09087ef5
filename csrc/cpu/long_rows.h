// Products of rows that are much longer than there are rows. Compiled once per instruction set (long_rows.isa.cpp).
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// `count` rows of neighbouring elements, `stride` elements apart.
template <class T>
struct LongRows {
    const T* data;
    Index count, stride;
};

/// Columns [j, j + count) of A as such rows: as they lie, or a copy of them.
template <class T>
LongRows<T> long_rows(const Matrix<const T>& A, Index j, Index count, T* copy, Index stride) {
    if (A.column_stride == 1) return {A.data + j, A.rows, A.row_stride};
    for (Index i = 0; i < A.rows; ++i)
        for (Index c = 0; c < count; ++c) copy[i * stride + c] = A(i, j + c);
    return {copy, A.rows, stride};
}

/// P[i, j] = sum_k Q[i, k] R[k, j] + w[i] G[i, j] for p rows and n columns, in float64, rounded once; the rows of R_2
/// follow those of R. Without w (null) there is no G. P may not overlap R, R_2 or G.
template <class T>
struct Combination {
    Index p, n;
    const double* Q;
    Index Q_stride;
    LongRows<T> R, R_2;
    const double* w;
    const T* G;
    Index G_stride;
    T* P;
    Index P_stride;
};

template <class T>
struct RowKernels {
    /// Adds sum_k R[i, k] R[j, k], k < n, for j <= i if `squares`, and sum_k R[i, k] V[j, k], to the sums at the places
    /// below. Products are formed in float64 if `exact`: memory bounds those of up to eight rows anyway. Others are
    /// summed in T over 4 kB of a row at most, and in float64 beyond.
    void (*add_products)(const LongRows<T>& R, const LongRows<T>& V, Index n, bool squares, bool exact, double* sums);
    void (*combine)(const Combination<T>& of);
    /// y = x - y for n elements; adds the sums of squares of x and of the new y, formed in float64, to sums[0] and [1].
    void (*subtract)(const T* x, T* y, Index n, double* sums);
    /// x = factor x for n elements, formed in float64.
    void (*scale)(double factor, T* x, Index n);

    // Sums lie in tiles of edge x edge, of which narrower ones at the right are dense: first those of the squares.
    static constexpr int edge = 4, tile = edge * edge;
    static Index words(Index rows, Index vectors, bool squares) {
        const Index high = (rows + edge - 1) / edge, wide = (vectors + edge - 1) / edge;
        return tile * ((squares ? high * (high + 1) / 2 : 0) + high * wide);
    }
    static Index place_of_square(Index i, Index j, Index rows) {
        const Index high = i / edge;
        return tile * (high * (high + 1) / 2 + j / edge) + in_tile(i, j, rows);
    }
    static Index place_of_product(Index i, Index j, Index rows, Index vectors, bool squares) {
        const Index wide = (vectors + edge - 1) / edge;
        return words(rows, 0, squares) + tile * (i / edge * wide + j / edge) + in_tile(i, j, vectors);
    }

  private:
    static Index in_tile(Index i, Index j, Index columns) {
        const Index rest = columns - j / edge * edge;
        return i % edge * (rest < edge ? rest : edge) + j % edge;
    }
};

}  // namespace curvblas::cpu
