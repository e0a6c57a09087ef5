// The epilogue of second moments: a tile of sums enters the moving average, and its mirror image with it.
#pragma once

#include <algorithm>

#include "core/moving_average.h"
#include "cpu/moment_plan.h"
#include "cpu/move.h"

namespace curvblas::cpu {

/// A matrix that takes sums: updated = keep C + add sums, where C may be `updated`.
template <class T>
struct Averaged {
    MovingAverage<T> average;
    Matrix<const T> C;
    Matrix<T> updated;

    /// For sums that come after others: they are added to what these left.
    void go_on() {
        average.keep = 1;
        C = {updated.data, updated.rows, updated.columns, updated.row_stride, updated.column_stride};
    }
};

/// The lower part of one tile: the sums of all ranges of rows, one after the other, each a square of leading dimension
/// `ld`.
template <class S>
struct TileSums {
    const S* data;
    Index ld;
    MomentTile at;
    Index ranges = 1, step = 0;
};

/// A piece of the tile, turned in registers, so that both images are written along rows; the mirror image in pieces
/// long enough to write past the caches.
template <class T>
struct AveragedBlock {
    static constexpr Index height = 128, width = 32;
    T values[height * width], turned[width * height];
    Index i0, j0, rows, columns;  ///< where it stands in the matrix

    /// What is turned beside a small tile, or above its diagonal, is zeros.
    explicit AveragedBlock(const MomentTile& at) {
        constexpr Index lanes = transposed_rows<T>;
        std::fill_n(values, std::min(height, (at.height + lanes - 1) / lanes * lanes) * width, T(0));
    }

    /// The columns of row i on the diagonal or below it.
    Index lower(Index i) const { return std::clamp<Index>(i0 + i - j0 + 1, 0, columns); }

    /// values = keep C + add sums.
    template <class S>
    void average(const MovingAverage<T>& average, const TileSums<S>& sums, const Matrix<const T>& C) {
        for (Index i = 0; i < rows; ++i) {
            const S* const row = sums.data + (i0 - sums.at.i0 + i) * sums.ld + j0 - sums.at.j0;
            if (sums.ranges == 1) {
                average_row(average, i, row, C);
                continue;
            }
            S total[width];
            std::copy_n(row, lower(i), total);
            for (Index r = 1; r < sums.ranges; ++r)
                for (Index j = 0; j < lower(i); ++j) total[j] += row[r * sums.step + j];
            average_row(average, i, total, C);
        }
    }
    void write(const Matrix<T>& updated) const {
        for (Index i = 0; i < rows; ++i)
            write_row(values + i * width, lower(i), &updated(i0 + i, j0), updated, Writing::ordinary);
    }
    void write_mirrored(const Matrix<T>& updated, Writing writing) {
        constexpr Index lanes = transposed_rows<T>;
        for (Index i = 0; i < rows; i += lanes)
            for (Index j = 0; j < columns; j += lanes) {
                const T* line[lanes];
                for (Index l = 0; l < lanes; ++l) line[l] = values + (i + l) * width + j;
                transpose_square(line, turned + j * height + i, height);
            }
        for (Index j = 0; j < columns; ++j) {
            const Index below = std::max<Index>(j0 + j + 1 - i0, 0);
            if (below < rows)
                write_row(turned + j * height + below, rows - below, &updated(j0 + j, i0 + below), updated, writing);
        }
    }

  private:
    template <class S>
    void average_row(const MovingAverage<T>& average, Index i, const S* s, const Matrix<const T>& C) {
        const S add = static_cast<S>(average.add);
        const T* const c = &C(i0 + i, j0);
        T* const v = values + i * width;
        constexpr Index line = 64 / static_cast<Index>(sizeof(T));
        for (Index j = 0; j <= width; j += line)  // the piece beside this one comes next
            __builtin_prefetch(c + (width + j) * C.column_stride);
        if (average.keep == T(0))  // C is not read
            for (Index j = 0; j < lower(i); ++j) v[j] = static_cast<T>(add * s[j]);
        else if (C.column_stride == 1)
            for (Index j = 0; j < lower(i); ++j) v[j] = static_cast<T>(average.keep * c[j] + add * s[j]);
        else
            for (Index j = 0; j < lower(i); ++j)
                v[j] = static_cast<T>(average.keep * c[j * C.column_stride] + add * s[j]);
    }
    static void write_row(const T* from, Index count, T* to, const Matrix<T>& updated, Writing writing) {
        if (updated.column_stride == 1)
            curvblas::cpu::write(count, from, to, writing);
        else
            for (Index j = 0; j < count; ++j) to[j * updated.column_stride] = from[j];
    }
};

/// Adds sums to the lower part of a tile, and to its mirror image where `mirrored`.
template <class T, class S>
void average_tile(const Averaged<T>& matrix, const TileSums<S>& sums, bool mirrored) {
    const Matrix<T>& updated = matrix.updated;
    constexpr Index height = AveragedBlock<T>::height, width = AveragedBlock<T>::width;
    const MomentTile& at = sums.at;
    const Writing writing = writing_of(updated.rows * updated.columns * static_cast<Index>(sizeof(T)));
    AveragedBlock<T> block(at);
    for (block.i0 = at.i0; block.i0 < at.i0 + at.height; block.i0 += height) {
        block.rows = std::min(height, at.i0 + at.height - block.i0);
        const Index end = std::min(at.j0 + at.width, block.i0 + block.rows);
        for (block.j0 = at.j0; block.j0 < end; block.j0 += width) {
            block.columns = std::min(width, at.j0 + at.width - block.j0);
            block.average(matrix.average, sums, matrix.C);
            block.write(updated);
            if (mirrored) block.write_mirrored(updated, writing);
        }
    }
    settle();
}

}  // namespace curvblas::cpu
