// The eigenproblem of one symmetric tridiagonal matrix, in steps whose parts any number of threads may share.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "cpu/deflation.h"
#include "cpu/micro.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {

/// S = V diag(values) V^T by divide and conquer (Cuppen 1981; deflation and eigenvectors as Gu and Eisenstat 1995): S
/// is torn into matrices that lanes solve, and each pair of halves is put together again as a diagonal matrix and one
/// of rank one. What deflates costs two copies, or a rotation; a matrix without deflation costs 4 / 3 n^3 flops, and
/// 8 / 3 n^3 if its eigenvectors are rotated into both halves first.
///
/// Of order n > TridiagonalLanes<T>::most_order. What is computed depends on n and S only. Parts of one step may be
/// worked on at the same time; `next` is called by one thread.
template <class T>
class DivideAndConquer {
  public:
    DivideAndConquer(const Micro& micro, Index n, std::byte* memory);
    /// Of the memory, 64-byte aligned and uninitialised.
    static Index bytes(Index n);

    /// Where S is to be put before the first step; off_diagonal[i] = S[i, i + 1]. The diagonal
    /// is overwritten, the off-diagonal is read up to the last step.
    double* diagonal() const { return values_; }
    double* off_diagonal() const { return off_diagonal_; }

    /// Begins the next step; false at the end.
    bool next();
    Index parts() const;
    /// As the queue counts it.
    double cost(Index part) const;
    void work(Index part);

    bool has_converged() const { return has_converged_.load(std::memory_order_relaxed); }
    /// Ascending; row j of `vectors` (n, n) is the eigenvector of values()[j].
    const double* values() const { return poles_; }
    T* vectors() const { return sources_; }

  private:
    enum class Step : std::uint8_t { start, leaves, deflate, find, weigh, multiply, order };

    /// A matrix and its halves, [first, middle) and [middle, last) of S. What belongs to its eigenvalues begins at
    /// `base`, apart from what belongs to its neighbours', which may be read past its end.
    struct Node {
        Index first, middle, last, base;
        Index size() const { return last - first; }
    };
    /// What is left of a node after deflation.
    struct Merge {
        Index kept = 0, only_upper = 0, only_lower = 0;  ///< of the eigenvalues that change, by their eigenvectors
        double weight = 0;
    };

    static Index levels(Index n);
    Index first(Index level, Index index) const { return index * n_ >> level; }
    Index nodes() const { return Index{1} << level_; }
    Node node(Index index) const;
    Merge& merge(Index level, Index index) const { return merges_[(Index{1} << level) + index]; }
    /// Eigenvalues of a node are shared in blocks.
    Index block() const { return std::max<Index>(64, (n_ >> level_) / 16); }
    Index blocks() const { return ((n_ >> level_) + block()) / block(); }
    RankOneUpdate equation(const Node& node, const Merge& merge) const;

    void tear();
    void solve_leaves(Index part);
    void deflate(Index index);
    void group(const Node& node, Merge& merge) const;
    void take_rows(const Node& node, Index begin, Index end) const;
    void multiply(const Node& node, const Merge& merge, Index begin, Index end) const;
    void sort_rows(Index level, Index index);
    void put_in_order(Index part) const;

    const Micro& micro_;
    const Index n_, ld_;
    Index level_;
    Step step_ = Step::start;
    std::atomic<bool> has_converged_ = true;
    T *rows_, *sources_;  ///< eigenvectors of the nodes by rows, with zeros around them; what they are multiplied from,
                          ///< at last the eigenvectors in order
    double *values_, *off_diagonal_, *z_;                        ///< of each row
    double *poles_, *squares_, *origins_, *offsets_, *weights_;  ///< of a node's eigenvalues, ascending; at last all
    double *grouped_poles_, *grouped_z_;                         ///< as their eigenvectors lie in `sources_`
    Index* order_;                                               ///< a node's rows, by their values
    Index *kept_, *place_,
        *source_;  ///< rows of the eigenvalues that change, their places in `sources_`, all rows there
    Half* half_;   ///< of each row
    Merge* merges_;
};

}  // namespace curvblas::cpu
