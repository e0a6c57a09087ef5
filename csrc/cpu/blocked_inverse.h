// The inverse of one symmetric positive definite matrix in steps, whose parts any number of threads may share.
#pragma once

#include <vector>

#include "core/view.h"
#include "cpu/micro.h"

namespace curvblas::cpu {

/// A + shift I = U^T U, M = U^-T, X = M^T M, in blocks of 128 to 256: U fills the blocks above the diagonal, M those
/// below and on it, and then X, transposed, replaces U. A matrix of one block is done by CholeskyInverse. The
/// arithmetic has the precision W, the result is rounded to T; n^3 flops.
///
/// Each step is a number of parts that may be worked on in any order and at the same time; what they compute depends on
/// n alone.
template <class T, class W>
class BlockedInverse {
  public:
    BlockedInverse(const Micro& micro, Index n);

    /// Whether there are blocks, and a workspace of n rows is needed. It may be X itself where W is T.
    bool has_blocks() const { return blocks_ > 1; }
    /// A is read from its lower triangle, X is written whole, exactly symmetric.
    void start(const T* A, Index lda, double shift, W* workspace, Index ldw, T* X, Index ldx);
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
    static Index block_for(Index n);
    Step step() const;
    Index row() const { return (step_ - 1) / 2; }  ///< of blocks, while U is computed

    Index begin(Index block) const { return block * block_; }
    Index size(Index block) const { return std::min(block_, n_ - begin(block)); }
    W* at(Index i, Index j) const { return work_ + begin(i) * ldw_ + begin(j); }
    /// Rows of blocks [first, last), column j.
    Matrix<const W> strip(Index first, Index last, Index j) const {
        return {at(first, j), std::min(begin(last), n_) - begin(first), size(j), ldw_, 1};
    }
    Matrix<W> target(Index i, Index j) const { return {at(i, j), size(i), size(j), ldw_, 1}; }

    void invert_whole();
    void load(Index i);
    void factor(Index i, Index j);
    void factor_diagonal(Index i);
    void invert_column(Index j);
    void multiply(Index part);
    void finish(Index i);

    const Micro& micro_;
    const Index n_, block_, blocks_;
    const T* A_ = nullptr;
    W* work_ = nullptr;
    T* X_ = nullptr;
    Index lda_ = 0, ldw_ = 0, ldx_ = 0, step_ = -1, minor_ = 0;
    double shift_ = 0, log_det_ = 0;
    std::vector<W> diagonal_;  ///< the diagonal blocks of X
};

}  // namespace curvblas::cpu
