// The inverse of one symmetric positive definite matrix in steps, whose parts any number of threads may share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/view.h"
#include "cpu/micro.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {

/// A + shift I = U^T U, M = U^-T, X = M^T M, in square blocks. The workspace lies in the panels of our tiles, one after
/// the other, so that nothing is packed: U fills the blocks above the diagonal, M those on and below it, and then X
/// replaces U. A matrix of one block is done by CholeskyInverse. The arithmetic has the precision W, the result is
/// rounded to T; n^3 flops.
///
/// Each step is a number of parts that may be worked on in any order and at the same time; what they compute depends on
/// n alone.
template <class T, class W>
class BlockedInverse {
  public:
    BlockedInverse(const Micro& micro, Index n);

    /// Of the workspace, 64-byte aligned and uninitialised; 0 for a matrix of one block.
    Index bytes() const { return has_blocks() ? cpu::bytes<W>(panel_words() + 2 * blocks_ * block_ * block_) : 0; }
    /// A is read from its lower triangle, X is written whole, exactly symmetric.
    void start(const T* A, Index lda, double shift, std::byte* workspace, T* X, Index ldx);
    /// Begins the next step; false at the end, or when a minor is not positive.
    bool next();
    Index parts() const;
    double cost(Index part) const;
    void work(Index part);

    /// The order of the leading minor that is not positive, or 0.
    Index minor() const { return minor_; }
    double log_det() const { return log_det_; }

  private:
    enum class Step : std::uint8_t { whole, load, factor, solve, columns, products, finish };
    static Index block_for(Index n, Index panel);
    bool has_blocks() const { return blocks_ > 1; }
    Step step() const;
    Index row() const { return (step_ - 1) / 2; }  ///< of blocks, while U is computed

    Index begin(Index block) const { return block * block_; }
    Index size(Index block) const { return std::min(block_, order_ - begin(block)); }
    Index panel_words() const { return tile_.panels(order_) * stride_; }
    /// Columns from j on, of all rows from i on.
    Panels<W> at(Index i, Index j) const {
        return tile_.from_column(Panels<W>{work_ + i * panel_, panel_, stride_}, j);
    }
    /// A square that belongs to a diagonal block.
    Panels<W> square(W* squares, Index block) const {
        return {squares + block * block_ * block_, panel_, block_ * panel_};
    }

    void invert_whole();
    void load(Index i);
    void factor_diagonal(Index i);
    /// C (+)= sum over the rows [first, last) of the products of columns from `left` and from `right` on.
    void multiply(Index first, Index last, Index left, Index height, Index right, Index width, bool lower, bool add,
                  const Panels<W>& C) const;
    void solve(Index i, Index j) const;
    void invert_column(Index j) const;
    void multiply_columns(Index part) const;
    void finish(Index i) const;

    const Micro& micro_;
    const Tile<W>& tile_;
    const Index n_, panel_, order_, stride_, block_, blocks_;
    const T* A_ = nullptr;
    W *work_ = nullptr, *inverses_ = nullptr, *diagonal_ = nullptr;  ///< -U_ii^-1, the diagonal blocks of X
    T* X_ = nullptr;
    Index lda_ = 0, ldx_ = 0, step_ = -1, minor_ = 0;
    double shift_ = 0, log_det_ = 0;
};

}  // namespace curvblas::cpu
