// The epilogue of second moments: a tile of sums enters the moving average, and its mirror image with it.
#pragma once

#include <algorithm>

#include "core/moving_average.h"
#include "cpu/moment_plan.h"
#include "cpu/move.h"

namespace curvblas::cpu {

/// The lower part of one tile of sums, of leading dimension `ld`.
template <class S>
struct TileSums {
    const S* data;
    Index ld;
    MomentTile at;
};

/// updated = keep C + add sums for that part, and its mirror image where `mirrored`. Row and column j of the sums stand
/// at index(j) of the matrices. `C` may be `updated`.
template <class T, class S, class IndexOf>
void average_tile(const MovingAverage<T>& average, const TileSums<S>& sums, const Matrix<const T>& C,
                  const Matrix<T>& updated, bool mirrored, const IndexOf& index) {
    const MomentTile& at = sums.at;
    for (Index i = 0; i < at.height; ++i) {
        const Index one = index(at.i0 + i), end = std::min(at.width, at.i0 + i - at.j0 + 1);
        for (Index j = 0; j < end; ++j) {
            const Index other = index(at.j0 + j), row = std::max(one, other), column = std::min(one, other);
            updated(row, column) =
                static_cast<T>(average.kept(C(row, column)) + static_cast<S>(average.add) * sums.data[i * sums.ld + j]);
            if (mirrored) updated(column, row) = updated(row, column);
        }
    }
}

/// The same where index(j) = j and rows are contiguous: blocks are turned in registers, so that both images are written
/// along rows.
template <class T, class S>
void average_tile(const MovingAverage<T>& average, const TileSums<S>& sums, const Matrix<const T>& C,
                  const Matrix<T>& updated, bool mirrored) {
    constexpr Index block = 32, lanes = transposed_rows<T>;
    const MomentTile& at = sums.at;
    const S add = static_cast<S>(average.add);
    T values[block * block] = {}, turned[block * block];
    for (Index ib = at.i0; ib < at.i0 + at.height; ib += block)
        for (Index jb = at.j0; jb < std::min(at.j0 + at.width, ib + block); jb += block) {
            const Index rows = std::min(block, at.i0 + at.height - ib);
            const Index columns = std::min(block, at.j0 + at.width - jb);
            for (Index i = 0; i < rows; ++i) {
                const Index width = std::min(columns, ib + i - jb + 1);
                const T* const c = C.row(ib + i) + jb;
                const S* const s = sums.data + (ib - at.i0 + i) * sums.ld + jb - at.j0;
                T* const v = values + i * block;
                if (average.keep == T(0))
                    for (Index j = 0; j < width; ++j) v[j] = static_cast<T>(add * s[j]);
                else
                    for (Index j = 0; j < width; ++j) v[j] = static_cast<T>(average.keep * c[j] + add * s[j]);
                std::copy_n(v, width, updated.row(ib + i) + jb);
            }
            if (!mirrored) continue;
            for (Index i = 0; i < rows; i += lanes)
                for (Index j = 0; j < columns; j += lanes) {
                    const T* line[lanes];
                    for (Index l = 0; l < lanes; ++l) line[l] = values + (i + l) * block + j;
                    transpose(line, turned + j * block + i, block);
                }
            for (Index j = 0; j < columns; ++j) {
                const Index below = std::max<Index>(jb + j + 1 - ib, 0);
                if (below < rows)
                    std::copy_n(turned + j * block + below, rows - below, updated.row(jb + j) + ib + below);
            }
        }
}

}  // namespace curvblas::cpu
