// TONGA, the topmoumoute online natural gradient (Le Roux, Manzagol and Bengio 2007): systems with a discounted sum of
// squares of gradients, of which a few eigenvectors and the gradients since are kept.
#pragma once

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What is kept of every block of parameters, blocks one after the other: X (rank + window, n), K = X X^T for the rows
/// of each block (blocks, rank + window, rank + window), and the damping, one a block. See kernels/tonga.h for the rows
/// of X. `count` gradients of the window are there; before the first one ever everything is written, not read.
template <class T>
struct TongaMemory {
    Index rank, window;
    double decay;
    Matrix<T> X;
    Stack<double> K;
    double* damping;
    Index count;
    bool is_new;
    double initial_damping;
};

/// C <- decay C + g g^T for each of the N rows of G (N, n) in turn, block by block, and v = (C + damping I)^-1 g times
/// `factor` for their mean g. C is exact until the end of the first window; from then on each window begins with the
/// best approximation of rank `rank` of what the one before left. min_damping: see TongaTruncation, below 0 for none.
///
/// `begins` (blocks + 1) says where blocks begin. v (n) may not overlap anything. Statuses, one a block: ok, jittered;
/// not_finite (a gradient of the block holds NaN or Inf: it counts as zero, and v of the block is NaN; or a damping
/// does); not_positive_definite, inaccurate (v is NaN); no_convergence (the memory of the block has no eigenbasis, and
/// is forgotten). Cost of a gradient: 4 r n flops and 2 r n words for r rows in use, N of up to 8 gradients share the
/// first half; r^3 a block; at the end of a window 2 rank (rank + window) n flops, and 6 (rank + window)^3 a block.
template <class T>
struct TongaStep {
    TongaMemory<T> memory;
    const Index* begins;
    Matrix<const T> G;
    double factor, min_damping;
    T* v;
    Status* status;
};

/// Returns the gradients in the window afterwards.
template <class T>
Index tonga_step(const Queue& queue, const TongaStep<T>& step);

}  // namespace curvblas::CURVBLAS_BACKEND
