// Trust-region steps of limited-memory SR1 in an orthonormal basis of the rows of Psi, where their products do not tell
// enough; see algorithms/lsr1.h.
#pragma once

#include "kernels/lsr1_step.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Psi = Y - gamma S of one problem.
template <class T>
struct Lsr1Psi {
    Lsr1Batch problems;
    Matrix<const T> S, Y;
    Matrix<T> Psi;

    CURVBLAS_DEVICE Index count() const { return Psi.columns; }
    CURVBLAS_DEVICE void work(Index j) const {
        const double gamma = problems.at(0).gamma();
        CURVBLAS_ROLLED
        for (Index i = 0; i < Psi.rows; ++i)
            Psi(i, j) = static_cast<T>(static_cast<double>(Y(i, j)) - gamma * static_cast<double>(S(i, j)));
    }
};

/// Coefficients U of a first basis Q_1 = L^-1 Psi from the products of the rows of Psi, formed as they are, without
/// those that depend on newer ones, or are no more than rounding.
struct Lsr1Orthogonalise {
    Lsr1Batch problems;
    double least;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        const Index m = p.m;
        const auto gram = [&](Index i, Index j) { return p.G()[p.slot(i) * m + p.slot(j)]; };
        const auto size = [&](Index i) { return fmax(gram(i, i), least * p.size(i)); };
        const Index r = ordered_cholesky(gram, size, least, p.pairs(), p.order(), m, p.L(), &p.worst());
        p.count() = static_cast<double>(r);
        CURVBLAS_ROLLED
        for (Index i = 0; i < m * m; ++i) p.U()[i] = 0;
        CURVBLAS_ROLLED
        for (Index q = 0; q < r; ++q) {
            CURVBLAS_ROLLED
            for (Index i = 0; i < r; ++i) p.d()[i] = i == q ? 1 : 0;
            solve_lower(p.L(), m, r, p.d());
            CURVBLAS_ROLLED
            for (Index i = 0; i < r; ++i) p.U()[i * m + p.slot(p.pair(q))] = p.d()[i];
        }
    }
};

/// Q = L_2^-1 Q_1 from the products of Q_1 (CholeskyQR2), and q with g + q Q_1 outside of it, about.
struct Lsr1Reorthogonalise {
    Lsr1Batch problems;
    Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        const Index m = p.m, r = p.pairs();
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) p.v()[i] = static_cast<double>(i);
        const auto gram = [&](Index i, Index j) { return p.G()[i * m + j]; };
        const auto size = [](Index) { return 1.0; };
        const bool is_good = ordered_cholesky(gram, size, 1e-2, r, p.v(), m, p.L2(), &p.worst()) == r;
        CURVBLAS_ROLLED
        for (Index i = 0; i < r && is_good; ++i) {
            CURVBLAS_ROLLED
            for (Index j = 0; j <= i; ++j) {
                double sum = 0;
                CURVBLAS_ROLLED
                for (Index k = j; k <= i; ++k) sum += p.L()[i * m + k] * p.L2()[k * m + j];
                p.L()[i * m + j] = sum;
            }
        }
        if (!is_good) status[b] = Status::inaccurate;
        CURVBLAS_ROLLED
        for (Index i = 0; i < 2 * m; ++i) p.q()[i] = 0;
        *p.weight = 1;
        if (!is_good) return;
        solve_lower(p.L2(), m, r, p.c());
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) p.q()[i] = -p.c()[i];
        solve_lower_transposed(p.L2(), m, r, p.q());
    }
};

/// The second projection: P has the products of Q_1 with the outside w of g, `outside` its square. Both become those of
/// what is left of it, w - d Q_1.
struct Lsr1Project {
    Lsr1Batch problems;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        const Index r = p.pairs();
        solve_lower(p.L2(), p.m, r, p.P());
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            p.outside() -= p.P()[i] * p.P()[i];
            p.c()[i] += p.P()[i], p.d()[i] = p.P()[i];
        }
        solve_lower_transposed(p.L2(), p.m, r, p.d());
    }
};

/// The step as a combination of Q_1 and w: coefficients q and weight. In the hard case outside of the span, unit_weight
/// is what is to go there, and otherwise 0.
struct Lsr1SolveInBasis {
    Lsr1Batch problems;
    double most;
    const double* radius;
    const Status* basis;
    Lsr1Reports reports;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (reports.status[b] == Status::ok && basis[b] != Status::ok) reports.status[b] = Status::no_convergence;
        if (reports.status[b] != Status::ok) return reports.set_failed(b, p, reports.status[b]);
        const Index r = p.pairs(), count = p.spectrum();
        const TrustRegionAnswer answer = solve_trust_region(count, p.lambda(), p.a(), radius[b], p.v());
        const double beta = count > r && p.a()[r] != 0 ? answer.inverse : 0;
        const bool is_outside = count > r && answer.lowest == r;
        p.unit_weight() = is_outside ? answer.length : 0;
        if (!is_outside) p.v()[answer.lowest] += answer.length;
        double* const y = p.q();
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) {
            y[i] = 0;
            CURVBLAS_ROLLED
            for (Index j = 0; j < r; ++j) y[i] -= p.U()[i * p.m + j] * p.v()[j];
        }
        solve_lower_transposed(p.L2(), p.m, r, y);
        CURVBLAS_ROLLED
        for (Index i = 0; i < r; ++i) y[i] += beta * p.d()[i];
        *p.weight = -beta;
        reports.set(b, p, answer, count, most);
    }
};

/// step += length (Q^T Q e - e) / |..|, its first part by q, for the unit vector e among the first 2 m + 2 that is
/// least in the span: squares of the columns of Q add up to its rank at most, so that it is half outside.
template <class T>
struct Lsr1ChooseUnit {
    Lsr1Batch problems;
    Matrix<const T> Q_1;
    const Status* status;

    CURVBLAS_DEVICE Index count() const { return problems.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Lsr1Problem p = problems.at(b);
        if (status[b] != Status::ok || p.unit_weight() == 0) return;
        const Index r = p.pairs(), columns = p.n < 2 * p.m + 2 ? p.n : 2 * p.m + 2;
        double *const x = p.P(), *const best = p.d(), least = 2;
        CURVBLAS_ROLLED
        for (Index i = 0; i < columns; ++i) {
            double square = 0;
            CURVBLAS_ROLLED
            for (Index k = 0; k < r; ++k) x[k] = static_cast<double>(Q_1(k, i));
            solve_lower(p.L2(), p.m, r, x);
            CURVBLAS_ROLLED
            for (Index k = 0; k < r; ++k) square += x[k] * x[k];
            if (square >= least) continue;
            least = square, p.unit_index() = static_cast<double>(i);
            CURVBLAS_ROLLED
            for (Index k = 0; k < r; ++k) best[k] = x[k];
        }
        const double weight = p.unit_weight() / sqrt(1 - least);
        solve_lower_transposed(p.L2(), p.m, r, best);
        CURVBLAS_ROLLED
        for (Index k = 0; k < r; ++k) p.q()[k] += weight * best[k];
        p.unit_weight() = -weight;
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

}  // namespace curvblas::CURVBLAS_BACKEND
