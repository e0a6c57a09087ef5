// The product of the Householder reflections of a tridiagonal reduction with eigenvectors of the tridiagonal matrix.
#pragma once

#include <algorithm>

#include "core/view.h"
#include "cpu/scratch.h"
#include "cpu/tiles.h"

namespace curvblas::cpu {

/// Z <- H_0 H_1 ... H_{n-2} Z, H_j = I - tau_j v_j v_j^T, where v_j is 0 up to its entry j, 1 in the next one, and
/// beyond it what row j of `reflectors` holds there (see Tridiagonal).
///
/// Reflections are applied in blocks of 48 as I - V T V^T (Schreiber and Van Loan 1989), to as many eigenvectors at a
/// time as the tiles are wide, which stay in the second-level cache meanwhile: 2 n^3 flops, all of them by tiles.
/// Blocks may be loaded, and then eigenvectors transformed, in any order and by any number of threads.
template <class T>
class BackTransform {
  public:
    BackTransform(const Tile<T>& tile, Index n, T* memory)
        : tile_(tile),
          n_(n),
          panel_(tile.panel_columns),
          width_((most_width + panel_ - 1) / panel_ * panel_),
          memory_(memory) {}
    /// Of the memory, aligned to 64 bytes.
    Index words() const { return blocks() * block_words(); }

    Index blocks() const { return (std::max<Index>(n_ - 1, 0) + width_ - 1) / width_; }
    void load(Index block, const T* reflectors, Index ld, const T* tau) const;

    /// How many eigenvectors are transformed at a time, and the memory that holds them: row i, entry i of each.
    Index panel_columns() const { return panel_; }
    Index panel_words() const { return (n_ + tile_.granule) * panel_; }
    /// `count` of them, which lie one behind the other in `eigenvectors`, into `panel`.
    void apply(const T* eigenvectors, Index count, T* panel) const;

  private:
    static constexpr Index most_width = 48;
    /// Of a block: V by rows, V by columns, and -T by columns.
    Index rows_words() const { return (n_ + tile_.granule) * width_; }
    Index columns_words() const { return tile_.panels(n_) * panel_ * width_; }
    Index block_words() const { return bytes<T>(rows_words() + columns_words() + width_ * width_) / sizeof_T; }
    static constexpr Index sizeof_T = sizeof(T);
    Index first_row(Index block) const { return block * width_ + 1; }

    struct Reflections {
        Panels<T> by_rows, by_columns, triangle;
    };
    Reflections reflections(Index block) const;

    const Tile<T>& tile_;
    const Index n_, panel_, width_;
    T* const memory_;
};

}  // namespace curvblas::cpu
