// The small work of TONGA (Le Roux, Manzagol and Bengio 2007): a block of parameters a problem of a few dozen rows.
// What is as long as a block is gram's and low_rank_apply's; see algorithms/tonga.h.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Row j < rank of the memory X of a block is an eigenvector that was kept; row rank + i is gradient i of the window
/// times decay^(-(i + 1) / 2): so decay^count X^T X is the discounted sum of squares after `count` gradients, and what
/// is old is never scaled.
struct TongaScale {
    double decay;

    /// Of the gradient that makes the window `count` long: by products, because pow took a tenth of a step's time.
    CURVBLAS_DEVICE double operator()(Index count) const {
        double power = 1, square = 1 / sqrt(decay);
        for (; count > 0; count /= 2, square *= square)
            if (count % 2) power *= square;
        return power;
    }
};

/// Before all else the status is ok; before the first gradient ever K = 0 and the damping is the initial one.
struct TongaBegin {
    bool is_new;
    double initial_damping;
    Stack<double> K;
    double* damping;
    Status* status;

    CURVBLAS_DEVICE void work(Index b) const {
        status[b] = Status::ok;
        if (!is_new) return;
        damping[b] = initial_damping;
        for (Index i = 0; i < K.rows; ++i)
            for (Index j = 0; j < K.columns; ++j) K[b](i, j) = 0;
    }
};

/// c new rows and columns of K = X X^T (blocks, slots, slots), from rank + count on: P (blocks, c, rank + count) holds
/// the products of the new gradients with the rows of X, S (blocks, c, c) those with each other. A gradient that holds
/// NaN or Inf, or whose row of X would be longer than `longest`, counts as zero: `is_finite` (blocks, 1, c) becomes 0
/// there, else 1, and the status not_finite.
struct TongaAppend {
    TongaScale scale;
    Index count;
    double longest;
    Stack<const double> P, S;
    Stack<double> K, is_finite;
    Status* status;

    CURVBLAS_DEVICE void work(Index b) const {
        const Index c = P.rows, r = P.columns;
        const Matrix<double> k = K[b];
        for (Index i = 0; i < c; ++i) {
            const double own = scale(count + i + 1);
            const bool good = S[b](i, i) * 0 == 0 && own * sqrt(S[b](i, i)) <= longest;
            is_finite[b](0, i) = good ? 1 : 0;
            if (!good) status[b] = Status::not_finite;
            for (Index j = 0; j < r; ++j) k(r + i, j) = k(j, r + i) = good ? own * P[b](i, j) : 0;
            for (Index j = 0; j <= i; ++j) {
                const bool both = good && is_finite[b](0, j) > 0;
                k(r + i, r + j) = k(r + j, r + i) = both ? own * scale(count + j + 1) * S[b](i, j) : 0;
            }
        }
    }
};

/// What is to be inverted for C + damping I: S = w (X X^T + scale(count)^2 damping I) w for w = diag^(-1/2) of the sum,
/// whose ones on the diagonal no length of a gradient departs from. S and K (blocks, r, r), w (blocks, 1, r), zero
/// (blocks).
struct TongaSystem {
    TongaScale scale;
    Index count;
    const double* damping;
    Stack<const double> K;
    Stack<double> S, w;
    double* zero;

    CURVBLAS_DEVICE void work(Index b) const {
        const double shift = scale(count) * scale(count) * damping[b];
        zero[b] = 0;
        for (Index i = 0; i < K.rows; ++i) {
            w[b](0, i) = 1 / sqrt(K[b](i, i) + shift);
            for (Index j = 0; j < i; ++j) S[b](i, j) = S[b](j, i) = K[b](i, j) * w[b](0, i) * w[b](0, j);
            S[b](i, i) = shift * 0 == 0 ? 1 : NAN;
        }
    }
};

/// Of what is solved for the mean of the last `gradients` gradients of the window: v = Q X, from the inverse M of S of
/// TongaSystem (blocks, r, r), r = rank + count. Q (blocks, 1, r) is times `factor`, and NaN where a status says so:
/// not_finite before, or that of the inverse, which is taken over.
struct TongaWeights {
    TongaScale scale;
    Index count, gradients;
    double factor;
    Stack<const double> M, w;
    const Status* inverse;
    Stack<double> Q;
    Status* status;

    CURVBLAS_DEVICE void work(Index b) const {
        if (status[b] == Status::ok) status[b] = inverse[b];
        const bool good = status[b] <= Status::jittered;
        const Index r = M.rows;
        const double own = scale(count), weight = factor * own * own;
        for (Index i = 0; i < r; ++i) {
            double sum = 0;
            for (Index j = 1; j <= gradients; ++j)
                sum += M[b](i, r - j) * w[b](0, r - j) / (static_cast<double>(gradients) * scale(count - j + 1));
            Q[b](0, i) = good ? weight * w[b](0, i) * sum : NAN;
        }
    }
};

/// The same for any g, given by its products P (blocks, 1, r) with X: v = Q X + w g, from X X^T = V diag(values) V^T.
/// What of g lies in the span of X cancels down to damping / (eigenvalue + damping) of itself: where that is less than
/// a hundred `eps`, the status is inaccurate.
struct TongaMeanWeights {
    TongaScale scale;
    Index count;
    double factor, eps;
    Stack<const double> values, V, P;
    const double* damping;
    const Status* basis;
    Stack<double> Q, w;
    Status* status;

    CURVBLAS_DEVICE void work(Index b) const {
        const Index r = V.rows;
        const double shift = scale(count) * scale(count) * damping[b], largest = values[b](0, r - 1);
        if (status[b] == Status::ok) status[b] = basis[b];
        if (status[b] == Status::ok && !(eps * largest <= residual_bound * shift)) status[b] = Status::inaccurate;
        const bool good = status[b] == Status::ok;
        const double weight = good ? factor / damping[b] : NAN;
        for (Index i = 0; i < r; ++i) Q[b](0, i) = 0;
        for (Index j = 0; j < r; ++j) {
            double product = 0;
            for (Index i = 0; i < r; ++i) product += V[b](i, j) * P[b](0, i);
            product *= weight / (fmax(values[b](0, j), 0.0) + shift);
            for (Index i = 0; i < r; ++i) Q[b](0, i) -= V[b](i, j) * product;
        }
        w[b](0, 0) = weight;
    }
};

/// The end of a window: from X X^T = V diag(values) V^T, ascending (values (blocks, 1, slots), V (blocks, slots,
/// slots)), the weights Q (blocks, rank, slots) that make the eigenvectors kept of the rows of X, the largest first,
/// each as long as the root of its eigenvalue in the discounted sum. With min_damping >= 0 the damping of a block
/// becomes the smallest eigenvalue kept, at least min_damping. A block without a basis forgets what it knows, and its
/// status is no_convergence.
struct TongaTruncation {
    TongaScale scale;
    Index count;
    double min_damping;
    Stack<const double> values, V;
    const Status* basis;
    double* damping;
    Stack<double> Q;
    Status* status;

    CURVBLAS_DEVICE void work(Index b) const {
        const bool good = basis[b] == Status::ok;
        if (!good) status[b] = Status::no_convergence;
        const double own = scale(count);
        const Index slots = V.rows, rank = Q.rows;
        for (Index i = 0; i < rank; ++i)
            for (Index j = 0; j < slots; ++j) Q[b](i, j) = good ? V[b](j, slots - 1 - i) / own : 0;
        if (min_damping >= 0 && good) damping[b] = fmax(min_damping, values[b](0, slots - rank) / (own * own));
    }
};

/// work(b) for b < blocks, for a struct of this file with such a method.
template <class Task>
void for_each_block(const Queue& queue, Index blocks, const Task& task);

/// Rows of X (c, n) for c gradients g (c, n) of one block, from gradient `count` of the window on: scaled, or zero
/// where is_finite is.
template <class T>
struct TongaRows {
    TongaScale scale;
    Index count;
    const double* is_finite;
    Matrix<const T> g;
    Matrix<T> X;

    /// Of row i; 0 where the gradient is to count as zero, whatever it holds.
    CURVBLAS_DEVICE double factor(Index i) const { return is_finite[i] > 0 ? scale(count + i + 1) : 0; }
    CURVBLAS_DEVICE void work(Index i, Index j, double factor) const {
        X(i, j) = factor > 0 ? static_cast<T>(factor * static_cast<double>(g(i, j))) : T(0);
    }
};

template <class T>
void tonga_rows(const Queue& queue, std::span<const TongaRows<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
