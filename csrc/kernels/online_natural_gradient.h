// The small work of Kaldi's online natural gradient (Povey, Zhang and Khudanpur 2015), a side of a layer a problem;
// what is as long as its rows is that of products. See algorithms/online_natural_gradient.h.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "kernels/for_each_element.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// What a call finds out about a side. `unit` is one over the root mean square of X: H is times it before it multiplies
/// X again, so that no product of float32 overflows or vanishes.
struct OngNumbers {
    double before, gain, unit;    // before: the sum of squares of X
    double is_wanted, is_skewed;  // 1 or 0: whether the state is to change; whether W may have lost its orthogonality
    double residual;              // of the eigenproblem
};

/// Of one side, in float64: F = R^T diag(d) R + rho I for R orthonormal rows (rank, D), kept as W = E^(1/2) R with
/// e_i = 1 / (beta / d_i + 1) and beta = rho (1 + alpha) + alpha sum(d) / D.
struct OngSide {
    Index N, D, rank;
    double alpha, eta, epsilon, delta;
    double *d, *rho;  ///< d (rank) and rho (1) of the factor
    OngNumbers* of;
    Status* status;

    CURVBLAS_DEVICE double beta() const {
        double sum = 0;
        for (Index i = 0; i < rank; ++i) sum += d[i];
        return *rho * (1 + alpha) + alpha * sum / static_cast<double>(D);
    }
    CURVBLAS_DEVICE static double e(double d, double beta) { return 1 / (beta / d + 1); }
};

/// W at the start and where it cannot be mended: row r has 1.1 at column r and 1 at r + rank, r + 2 rank, ..., is
/// normalised and times e_r^(1/2).
template <class T>
CURVBLAS_DEVICE void set_first_rows(const OngSide& side, const Matrix<T>& W) {
    const double beta = side.beta();
    for (Index r = 0; r < side.rank; ++r) {
        const double others = static_cast<double>((side.D - 1 - r) / side.rank);
        const double unit = sqrt(OngSide::e(side.d[r], beta) / (1.1 * 1.1 + others));
        for (Index j = 0; j < side.D; ++j)
            W(r, j) = j % side.rank == r ? static_cast<T>(j == r ? 1.1 * unit : unit) : T(0);
    }
}

/// The start: d = rho = epsilon, and those rows.
template <class T>
struct OngStart {
    OngSide side;
    Matrix<T> W;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        for (Index r = 0; r < side.rank; ++r) side.d[r] = side.epsilon;
        *side.rho = side.epsilon;
        set_first_rows(side, W);
    }
};

/// What the sums of squares of X and of X - X W^T W say, given as `chunks` pairs of partial sums: the status, ok or
/// not_finite (X holds NaN or Inf, or its squares overflow); the factor that restores the norm of X, NaN if not finite;
/// and whether the state is to change: neither then nor for rows of zeros.
struct OngJudge {
    OngSide side;
    const double* sums;
    Index chunks;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        double before = 0, after = 0;
        for (Index k = 0; k < chunks; ++k) before += sums[2 * k], after += sums[2 * k + 1];
        const bool is_finite = before * 0 == 0 && after * 0 == 0;
        OngNumbers& of = *side.of;
        *side.status = is_finite ? Status::ok : Status::not_finite;
        of.before = before;
        of.is_wanted = is_finite && before > 0 ? 1 : 0;
        of.gain = !is_finite ? NAN : before > 0 && after > 0 ? sqrt(before / after) : 1;
        of.unit = before > 0 ? sqrt(static_cast<double>(side.N * side.D)) / sqrt(before) : 1;
    }
};

/// Z (rank, rank) = unit^4 Y Y^T for Y = R T, T = eta X^T X / N + (1 - eta) F, from K = J J^T and L = H^T H, where H =
/// unit X W^T and J = H^T X.
struct OngForm {
    OngSide side;
    Matrix<const double> K, L;
    Matrix<double> Z;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        const double beta = side.beta(), b = 1 - side.eta, unit = side.of->unit;
        const double a = side.eta / static_cast<double>(side.N);
        for (Index i = 0; i < side.rank; ++i) {
            const double e_i = OngSide::e(side.d[i], beta), own = unit * (side.d[i] + *side.rho) * unit;
            for (Index j = 0; j <= i; ++j) {
                const double e_j = OngSide::e(side.d[j], beta), other = unit * (side.d[j] + *side.rho) * unit;
                const double square = a * unit * K(i, j) * unit * a, mixed = a * b * L(i, j) * (own + other);
                const double z = (square + mixed) / sqrt(e_i * e_j);
                Z(i, j) = Z(j, i) = i == j ? z + b * b * own * own : z;
            }
        }
    }
};

/// The new d and rho from Z = U diag(c) U^T (values ascending), with their floors, and the weights Q (rank, 2 rank)
/// that make the new W of the rows of the old one and of J. Rows may have lost their orthogonality where a floor was
/// hit or values differ by more than 1e6. Where Z has no eigenbasis the state is left, and the status is
/// no_convergence.
struct OngUpdate {
    OngSide side;
    const double* c;
    Matrix<const double> U;
    const Status* basis;
    Matrix<double> Q;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        OngNumbers& of = *side.of;
        of.is_skewed = 0;
        if (of.is_wanted == 0) return;
        if (*basis != Status::ok) {
            *side.status = Status::no_convergence, of.is_wanted = 0;
            return;
        }
        const Index rank = side.rank;
        const double rho = *side.rho, beta = side.beta(), b = 1 - side.eta, D = static_cast<double>(side.D);
        const double a = side.eta / static_cast<double>(side.N), lowest = of.unit * rho * b * of.unit;
        const double least = lowest * lowest;
        const auto root = [&](Index i) { return sqrt(fmax(c[rank - 1 - i], least)) / of.unit / of.unit; };
        double sum_of_d = 0, sum_of_roots = 0;
        for (Index i = 0; i < rank; ++i) sum_of_d += side.d[i], sum_of_roots += root(i);
        const double trace = a * of.before + b * (D * rho + sum_of_d);
        const double new_rho = (trace - sum_of_roots) / (D - static_cast<double>(rank));
        const double floor = fmax(side.epsilon, side.delta * root(0));
        bool is_floored = new_rho < floor;
        // All of Q needs the old d.
        for (Index i = 0; i < rank; ++i)
            for (Index j = 0; j < rank; ++j) {
                const double u = U(j, rank - 1 - i) / (root(i) * sqrt(OngSide::e(side.d[j], beta)));
                Q(i, j) = b * (side.d[j] + rho) * u, Q(i, rank + j) = a / of.unit * u;
            }
        for (Index i = 0; i < rank; ++i) {
            is_floored = is_floored || root(i) - new_rho < floor || c[rank - 1 - i] < least;
            side.d[i] = fmax(root(i) - new_rho, floor);
        }
        *side.rho = fmax(new_rho, floor);
        const double new_beta = side.beta();
        for (Index i = 0; i < rank; ++i)
            for (Index j = 0; j < 2 * rank; ++j) Q(i, j) *= sqrt(OngSide::e(side.d[i], new_beta));
        of.is_skewed = is_floored || c[rank - 1] > 1e6 * fmax(c[0], least) ? 1 : 0;
    }
};

/// The weights Q (rank, rank) that make the rows of W orthogonal again, from G = W W^T, where `is_skewed` asks for it
/// and E^(-1/2) W has departed from orthonormality by more than 1e-3: E^(1/2) C^-1 E^(-1/2) for E^(-1/2) G E^(-1/2) = C
/// C^T. Overwrites G. Where rows depend on each other W starts anew, and d and rho stay.
template <class T>
struct OngOrthogonalise {
    OngSide side;
    Matrix<double> G, Q;
    Matrix<T> W;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        double& is_skewed = side.of->is_skewed;
        if (is_skewed == 0) return;
        const Index rank = side.rank;
        const double beta = side.beta();
        double departure = 0;
        for (Index i = 0; i < rank; ++i)
            for (Index j = 0; j <= i; ++j) {
                G(i, j) /= sqrt(OngSide::e(side.d[i], beta) * OngSide::e(side.d[j], beta));
                departure = fmax(departure, fabs(G(i, j) - (i == j ? 1 : 0)));
            }
        if (departure <= 1e-3) {
            is_skewed = 0;
        } else if (!factorise()) {
            set_first_rows(side, W);
            is_skewed = 0;
        } else {
            invert();
            for (Index i = 0; i < rank; ++i)
                for (Index j = 0; j <= i; ++j)
                    Q(i, j) *= sqrt(OngSide::e(side.d[i], beta) / OngSide::e(side.d[j], beta));
        }
    }

  private:
    /// G = C C^T in its lower triangle; whether every row keeps a part of its own.
    CURVBLAS_DEVICE bool factorise() const {
        for (Index j = 0; j < side.rank; ++j) {
            const double whole = G(j, j);
            for (Index k = 0; k < j; ++k)
                for (Index i = j; i < side.rank; ++i) G(i, j) -= G(i, k) * G(j, k);
            if (!(G(j, j) > 1e-8 * whole)) return false;  // NaN too
            const double pivot = sqrt(G(j, j));
            for (Index i = j; i < side.rank; ++i) G(i, j) /= pivot;
        }
        return true;
    }
    /// Q = C^-1, column by column.
    CURVBLAS_DEVICE void invert() const {
        for (Index j = 0; j < side.rank; ++j)
            for (Index i = 0; i < side.rank; ++i) {
                double sum = i == j ? 1 : 0;
                for (Index k = j; k < i; ++k) sum -= G(i, k) * Q(k, j);
                Q(i, j) = i < j ? 0 : sum / G(i, i);
            }
    }
};

constexpr double ong_cost = 2e4;  // of one side, for for_each_element

/// Rows of a side that are summed together: some 32,768 elements.
inline Index ong_chunk(Index columns) { return columns < 32768 ? 32768 / columns : 1; }
inline Index ong_chunks(Index rows, Index columns) { return (rows + ong_chunk(columns) - 1) / ong_chunk(columns); }

/// Y <- X - Y, and the sums of squares of X and of the new Y, in float64: a pair for each chunk of rows. Rows of Y are
/// contiguous.
template <class T>
struct OngSubtract {
    using Element = T;
    Matrix<const T> X;
    Matrix<T> Y;
    double* sums;
};
template <class T>
void ong_subtract(const Queue& queue, std::span<const OngSubtract<T>> group);

/// X <- factor X, rounded to T once. Rows of X are contiguous.
template <class T>
struct OngScale {
    using Element = T;
    Matrix<T> X;
    const double* factor;
};
template <class T>
void ong_scale(const Queue& queue, std::span<const OngScale<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
