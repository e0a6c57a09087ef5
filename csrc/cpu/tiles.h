// Sums of outer products a_k b_k^T in registers, and the panels in which their rows are packed. Compiled once per
// instruction set (tiles.isa.cpp), which may use none of the functions defined here: the linker keeps one copy of them.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// Packed rows: panel p holds `panel_columns` neighbouring columns of every row, column j of row k at
/// data[p stride + k ld + j]. Rows narrower than a panel have a narrower one (see `Tile::panel_ld`).
template <class T>
struct Panels {
    T* data;
    Index ld, stride;
};

/// The rows that a sum runs over: `planes` x `lines` x `depth`, of which the last are neighbours; strides count rows.
struct Steps {
    Index planes, lines, depth, plane_stride, line_stride;

    static Steps line(Index depth) { return {1, 1, depth, 0, 0}; }
};

/// Rows to be packed: `count` rows of `columns` elements, and one more that is 1 where `ones`, from column `first` of
/// the panels on. Row k goes to packed row k * step, times weights[k] unless that is null. Zeros follow up to the
/// granule where `fill`.
template <class T>
struct PackedFrom {
    const void* data;
    DType dtype;
    Index count, columns, row_stride, column_stride;
    bool ones = false, fill = true;
    const T* weights = nullptr;
    Index first = 0, step = 1;
    const T* const* begins = nullptr;  ///< of each column, instead of data, dtype and column_stride
};

/// Memory that is read next, as `runs` pieces of `bytes` bytes: it is brought nearer while sums are formed.
struct Ahead {
    const std::byte* data = nullptr;
    Index runs = 0, bytes = 0, stride = 0;
};

template <class T>
struct Tile {
    Index panel_columns;
    Index most_edge;  ///< of a square of sums that, with its panels, fits the second-level cache
    Index granule;    ///< panels are filled up with zeros to a multiple of so many columns

    /// C (+)= sum over the steps of a b^T, for `height` columns of A and `width` of B; with `lower` at least where i >=
    /// j. C is row-major with leading dimension ldc, both sides rounded up to the granule; written over unless `add`.
    void (*multiply)(const Steps& steps, const Panels<const T>& A, const Panels<const T>& B, Index height, Index width,
                     bool lower, bool add, T* C, Index ldc, Ahead ahead);
    void (*pack)(const PackedFrom<T>& from, const Panels<T>& to);

    Index padded(Index columns) const { return (columns + granule - 1) / granule * granule; }
    Index panel_ld(Index columns) const { return columns < panel_columns ? padded(columns) : panel_columns; }
    Index panels(Index columns) const { return (columns + panel_columns - 1) / panel_columns; }
    /// Where column j begins; it must be a multiple of the granule.
    template <class U>
    Panels<U> from_column(const Panels<U>& panels, Index j) const {
        return {panels.data + j / panel_columns * panels.stride + j % panel_columns, panels.ld, panels.stride};
    }
};

}  // namespace curvblas::cpu
