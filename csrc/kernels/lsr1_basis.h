// Limited-memory SR1 in an orthonormal basis Q of the rows of Psi, where their products do not tell enough; see
// algorithms/lsr1.h.
#pragma once

#include "kernels/lsr1_step.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Psi = Y - gamma S of one problem, or Y (S has no data), the row of pair order()[p] at p, and zeros in what rows are
/// left.
template <class T>
struct Lsr1Psi {
    Lsr1Batch problems;
    Matrix<const T> S, Y;
    Matrix<T> Psi;

    CURVBLAS_DEVICE Index count() const { return Psi.columns; }
    CURVBLAS_DEVICE void work(Index j) const {
        const Lsr1Problem p = problems.at(0);
        const double gamma = p.gamma();
        CURVBLAS_ROLLED
        for (Index i = 0; i < Psi.rows; ++i) {
            const Index row = i < p.pairs() ? p.slot(p.pair(i)) : -1;
            const double step = row < 0 || !S.data ? 0 : static_cast<double>(S(row, j));
            Psi(i, j) = row < 0 ? T(0) : static_cast<T>(static_cast<double>(Y(row, j)) - gamma * step);
        }
    }
};

/// Row `row` of Psi less its part c in the span of the rows of Q before it: q and weight of w = psi - c Q. c has the
/// products, and after them psi.psi.
struct Lsr1Reduce {
    Lsr1Batch problems;
    Index row;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        CURVBLAS_ROLLED
        for (Index k = 0; k < row; ++k) p.L()[row * p.m + k] = p.c()[k], p.q()[k] = -p.c()[k];
        p.v()[row] = p.c()[row], *p.weight = 1;
    }
};

/// What is left of w = psi - c Q after a second time, made a row of Q: q and weight of it, from the products d of w
/// with Q and its square `outside`. Zeros where nothing but rounding is left: where |w| is `rounding` |psi| or less, or
/// as small in comparison with the parts of psi.
struct Lsr1Normalise {
    Lsr1Batch problems;
    Index row;
    double rounding;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        double square = p.outside();
        CURVBLAS_ROLLED
        for (Index k = 0; k < row; ++k) square -= p.d()[k] * p.d()[k];
        const double parts = row < p.pairs() ? fmax(p.v()[row], p.size(p.pair(row))) : 0;
        const bool is_new = square > rounding * rounding * parts && p.v()[row] * 0 == 0;
        const double factor = is_new ? 1 / sqrt(square) : 0;
        CURVBLAS_ROLLED
        for (Index k = 0; k < row; ++k) p.L()[row * p.m + k] += p.d()[k], p.q()[k] = -factor * p.d()[k];
        p.L()[row * p.m + row] = is_new ? sqrt(square) : 0, *p.weight = factor;
    }
};

/// Takes pairs whose row of Psi depends on those of newer ones out of order(), and theirs out of L; row() keeps the
/// rows of Q that the others have. not_finite where Psi does not fit T.
struct Lsr1Compress {
    Lsr1Batch problems;
    Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        Index rank = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.pairs(); ++i) {
            if (p.v()[i] * 0 != 0) status[b] = Status::not_finite;
            if (p.L()[i * p.m + i] == 0) continue;
            CURVBLAS_ROLLED
            for (Index k = 0; k < rank; ++k) p.L()[rank * p.m + k] = p.L()[i * p.m + p.row(k)];
            p.L()[rank * p.m + rank] = p.L()[i * p.m + i];
            p.order()[rank] = p.order()[i], p.rows()[rank++] = static_cast<double>(i);
        }
        p.count() = static_cast<double>(rank);
        p.form_scales();
    }
};

/// q and weight of x - c Q, where c has the products of all rows of Q with x, and becomes those of the rows in use.
struct Lsr1Project {
    Lsr1Batch problems;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.m; ++i) p.q()[i] = 0;
        CURVBLAS_ROLLED
        for (Index k = 0; k < p.pairs(); ++k) p.c()[k] = p.c()[p.row(k)], p.q()[p.row(k)] = -p.c()[k];
        *p.weight = 1;
    }
};

/// The second projection: P has the products of Q with the outside w of g, `outside` its square. c and `outside` become
/// those of what is left of it, w - d Q.
struct Lsr1ProjectAgain {
    Lsr1Batch problems;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        CURVBLAS_ROLLED
        for (Index k = 0; k < p.pairs(); ++k) {
            p.d()[k] = p.P()[p.row(k)], p.c()[k] += p.d()[k];
            p.outside() -= p.d()[k] * p.d()[k];
        }
    }
};

/// The step -U v Q + weight (w - d Q): v and weight. In the hard case outside of the span, unit_weight
/// is what is to go there, and otherwise 0.
struct Lsr1SolveInBasis {
    Lsr1Batch problems;
    Lsr1Limits limits;
    const double* radius;
    const Status* basis;
    Lsr1Reports reports;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (reports.status[b] == Status::ok && basis[b] != Status::ok) reports.status[b] = Status::no_convergence;
        if (reports.status[b] != Status::ok) return reports.set_failed(b, p, reports.status[b]);
        const Index r = p.pairs(), count = p.spectrum();
        const TrustRegionAnswer answer = solve_trust_region(count, p.lambda(), p.a(), radius[b], count > r, p.v());
        const double beta = count > r && p.a()[r] != 0 ? answer.inverse : 0;
        const bool is_outside = count > r && answer.lowest == r;
        p.unit_weight() = is_outside ? answer.length : 0;
        if (!is_outside) p.v()[answer.lowest] += answer.length;
        *p.weight = -beta;
        reports.set(b, p, answer, count, limits);
    }
};

/// The same as a combination of Q and w: coefficients q.
struct Lsr1CombineInBasis {
    Lsr1Batch problems;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        const Index r = p.pairs();
        if (status[b] != Status::ok) return;
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.m; ++i) p.q()[i] = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            double sum = -*p.weight * p.d()[i];
            CURVBLAS_ROLLED
            for (Index j = 0; j < r; ++j) sum -= p.U()[i * p.m + j] * p.v()[j];
            p.q()[p.row(i)] = sum;
        }
    }
};

/// step += length (Q^T Q e - e) / |..|, its first part by q, for the unit vector e among the first 2 m + 2 that is
/// least in the span: squares of the columns of Q add up to its rank at most, so that it is half outside.
template <class T>
struct Lsr1ChooseUnit {
    Lsr1Batch problems;
    Matrix<const T> Q;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (status[b] != Status::ok || p.unit_weight() == 0) return;
        const Index r = p.pairs(), columns = p.n < 2 * p.m + 2 ? p.n : 2 * p.m + 2;
        double least = 2;
        Index best = 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < columns; ++i) {
            double square = 0;
            CURVBLAS_ROLLED
            for (Index k = 0; k < r; ++k)
                square += static_cast<double>(Q(p.row(k), i)) * static_cast<double>(Q(p.row(k), i));
            if (square < least) least = square, best = i;
        }
        const double weight = p.unit_weight() / sqrt(1 - least);
        CURVBLAS_ROLLED
        for (Index k = 0; k < r; ++k) p.q()[p.row(k)] += weight * static_cast<double>(Q(p.row(k), best));
        p.unit_index() = static_cast<double>(best), p.unit_weight() = -weight;
    }
};

/// step += the multiple of that unit vector.
template <class T>
struct Lsr1AddUnit {
    Lsr1Batch problems;
    Matrix<T> step;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (p.unit_index() < 0) return;
        T& element = step(0, static_cast<Index>(p.unit_index()));
        element = static_cast<T>(static_cast<double>(element) + p.unit_weight());
    }
};

/// q and weight of B x = gamma x + (A Q x) Q, where c has the products of the rows of Q in use with x.
struct Lsr1MultiplyInBasis {
    Lsr1Batch problems;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (status[b] != Status::ok) return refuse(p);
        CURVBLAS_ROLLED
        for (Index i = 0; i < p.pairs(); ++i) {
            double sum = 0;
            CURVBLAS_ROLLED
            for (Index j = 0; j < p.pairs(); ++j) sum += p.A()[i * p.m + j] * p.c()[j];
            p.q()[p.row(i)] = sum;
        }
        *p.weight = p.gamma();
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
