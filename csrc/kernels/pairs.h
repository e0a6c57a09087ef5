// Pairs of limited-memory quasi-Newton methods, steps s and changes y of the gradient: where their products lie, and
// the small work of keeping them. See algorithms/pair_memory.h.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "kernels/for_each_element.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Which rows of S and Y (m, n) of one model hold pairs, by the two numbers of `ring`: the row of the oldest one, and
/// how many there are. Newer ones follow, and then those before the oldest. Null: m pairs in the order of the rows.
struct PairRing {
    Index m;
    const double* ring;

    CURVBLAS_DEVICE Index first() const { return ring ? static_cast<Index>(ring[0]) : 0; }
    CURVBLAS_DEVICE Index kept() const { return ring ? static_cast<Index>(ring[1]) : m; }
    /// The row of pair i from the oldest on, where `first` is that of pair 0.
    CURVBLAS_DEVICE Index row(Index first, Index i) const { return first + i < m ? first + i : first + i - m; }
};

/// Products of the pairs of one model: K (2 m, 2 m) is S S^T, S Y^T and, below that, Y Y^T. Of squares, the lower
/// triangle is read.
struct PairProducts {
    Index m;
    double* K;

    CURVBLAS_DEVICE double& ss(Index i, Index j) const { return K[i * 2 * m + j]; }
    CURVBLAS_DEVICE double& sy(Index i, Index j) const { return K[i * 2 * m + m + j]; }
    CURVBLAS_DEVICE double& yy(Index i, Index j) const { return K[(m + i) * 2 * m + m + j]; }
};

/// Whether a pair leaves a BFGS matrix definite, and well so.
CURVBLAS_DEVICE inline bool is_curved(double ss, double sy, double yy) { return sy > 1e-10 * sqrt(ss) * sqrt(yy); }

/// What H without pairs is a multiple of, as given; 0 where the pairs are to tell it, NaN where it is not positive.
CURVBLAS_DEVICE inline double given_scale(const double* initial, Index b) {
    return !initial ? 0 : initial[b] > 0 ? initial[b] : NAN;
}

/// New pairs of `batch` models with room for m, and what is known about them.
struct NewPairs {
    Index m, batch;
    double *K, *ring;  ///< of the memory: (2 m, 2 m) and two numbers a model
    double* base;

    /// Of a model, of `base`.
    CURVBLAS_DEVICE static Index words(Index m) { return 4 * m + 7; }

    CURVBLAS_DEVICE double* of_s(Index b) const { return base + b * words(m); }  ///< S s, Y s (m each), s.s, y.s
    CURVBLAS_DEVICE double* of_y(Index b) const { return of_s(b) + 2 * m + 2; }  ///< S y, Y y, s.y, y.y
    CURVBLAS_DEVICE double* rest(Index b) const { return of_y(b) + 2 * m + 2; }  ///< r.r, r.s of r = y - B s
    CURVBLAS_DEVICE double& row(Index b) const { return of_s(b)[4 * m + 6]; }    ///< where it goes, or -1
    CURVBLAS_DEVICE double ss(Index b) const { return of_s(b)[2 * m]; }
    CURVBLAS_DEVICE double sy(Index b) const { return of_y(b)[2 * m]; }
    CURVBLAS_DEVICE double yy(Index b) const { return of_y(b)[2 * m + 1]; }
    /// not_finite for s and y whose squares are not.
    CURVBLAS_DEVICE Status judge(Index b) const {
        return ss(b) * 0 == 0 && sy(b) * 0 == 0 && yy(b) * 0 == 0 ? Status::ok : Status::not_finite;
    }
    /// A place for the pair of model b, and its products to where they are read from; none if it is not accepted.
    CURVBLAS_DEVICE void keep(Index b, bool is_accepted) const {
        double* const numbers = ring + 2 * b;
        row(b) = -1;
        if (!is_accepted) return;
        const PairRing places{m, numbers};
        const Index first = places.first(), count = places.kept(), to = places.row(first, count < m ? count : 0);
        if (count < m)
            numbers[1] = static_cast<double>(count + 1);
        else
            numbers[0] = static_cast<double>(places.row(first, 1));
        row(b) = static_cast<double>(to);
        const PairProducts products{m, K + b * 4 * m * m};
        const double *const s = of_s(b), *const y = of_y(b);
        for (Index j = 0; j < m; ++j) {
            products.ss(to, j) = products.ss(j, to) = s[j], products.sy(j, to) = y[j];
            products.sy(to, j) = s[m + j], products.yy(to, j) = products.yy(j, to) = y[m + j];
        }
        products.ss(to, to) = ss(b), products.sy(to, to) = sy(b), products.yy(to, to) = yy(b);
    }
};

/// pair (batch, 2, n) = s and y, one a model.
template <class T>
struct PairJoin {
    Stack<const T> s, y;
    Stack<T> pair;

    CURVBLAS_DEVICE Index count() const { return pair.batch * pair.columns; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index b = k / pair.columns, j = k % pair.columns;
        pair[b](0, j) = s[b](0, j), pair[b](1, j) = y[b](0, j);
    }
};

/// Keeps pairs without fault that are new to an SR1 matrix: for r = y - B s, |r.s| >= 1e-8 |r| |s| > 0 with |r| >
/// `rounding` |y|. `status` has that of B s, and becomes that of the pair.
struct PairJudgeSr1 {
    NewPairs pairs;
    double rounding;
    Status *accepted, *status;

    CURVBLAS_DEVICE Index count() const { return pairs.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const double rr = pairs.rest(b)[0], rs = pairs.rest(b)[1];
        if (pairs.judge(b) != Status::ok) status[b] = pairs.judge(b);
        const bool says_something = rr * 0 == 0 && sqrt(rr) > rounding * sqrt(pairs.yy(b)) && rs != 0;
        const bool is_clear = fabs(rs) >= 1e-8 * sqrt(rr) * sqrt(pairs.ss(b));
        const bool is_new = status[b] == Status::ok && says_something && is_clear;
        pairs.keep(b, is_new);
        accepted[b] = static_cast<Status>(is_new ? 1 : 0);
    }
};

/// Keeps pairs without fault that leave a BFGS matrix definite: s.y > 1e-10 |s| |y|.
struct PairJudgeBfgs {
    NewPairs pairs;
    Status *accepted, *status;

    CURVBLAS_DEVICE Index count() const { return pairs.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        status[b] = pairs.judge(b);
        const bool is_convex = is_curved(pairs.ss(b), pairs.sy(b), pairs.yy(b));
        pairs.keep(b, status[b] == Status::ok && is_convex);
        accepted[b] = static_cast<Status>(status[b] == Status::ok && is_convex ? 1 : 0);
    }
};

/// The rings of memories without what a new pair would take the place of.
struct PairLeaveOldest {
    Index m, batch;
    const double* ring;
    double* left;

    CURVBLAS_DEVICE Index count() const { return batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const PairRing places{m, ring + 2 * b};
        const bool is_full = places.kept() == m;
        left[2 * b] = static_cast<double>(is_full ? places.row(places.first(), 1) : places.first());
        left[2 * b + 1] = static_cast<double>(is_full ? m - 1 : places.kept());
    }
};

/// Rows of S and Y become the pairs that have a place.
template <class T>
struct PairStore {
    NewPairs pairs;
    Stack<const T> pair;
    Stack<T> S, Y;  ///< of the memory

    CURVBLAS_DEVICE Index count() const { return pair.batch * pair.columns; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index b = k / pair.columns, j = k % pair.columns;
        if (pairs.row(b) < 0) return;
        const auto row = static_cast<Index>(pairs.row(b));
        S[b](row, j) = pair[b](0, j), Y[b](row, j) = pair[b](1, j);
    }
};

/// r = y - p, rows of stacks (batch, 1, n).
template <class T>
struct PairSubtract {
    Stack<const T> y, p;
    Stack<T> r;

    CURVBLAS_DEVICE Index count() const { return r.batch * r.columns; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index b = k / r.columns, j = k % r.columns;
        r[b](0, j) = y[b](0, j) - p[b](0, j);
    }
};

/// A = 0 for contiguous A.
template <class T>
struct PairClear {
    T* A;
    Index words;

    CURVBLAS_DEVICE Index count() const { return words; }
    CURVBLAS_DEVICE void work(Index k) const { A[k] = 0; }
};

}  // namespace curvblas::CURVBLAS_BACKEND
