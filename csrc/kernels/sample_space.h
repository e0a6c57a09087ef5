// What systems in the space of samples need beside products and factors; see algorithms/sample_space_solve.h. N rows
// are as many unknowns, or twice as many, first the real parts and then the imaginary ones, if they are complex.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "kernels/for_each_element.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// K and y += the squares R (M, M) of a block of columns and, if there is a previous solution, its products P (M, 1).
struct SampleSpaceAdd {
    Matrix<const double> R, P;
    bool is_first;
    Matrix<double> K;
    double* y;

    CURVBLAS_DEVICE Index count() const { return R.rows * R.rows; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index n = k / R.rows, m = k % R.rows;
        K(n, m) = is_first ? R(n, m) : K(n, m) + R(n, m);
        if (m == 0 && P.columns > 0) y[n] = is_first ? P(n, 0) : y[n] + P(n, 0);
    }
};

/// S = (J; -i J; conj previous), of rows whose real and imaginary parts are neighbours: with the parts as real numbers,
/// products of the first 2 N rows with each other are [[Re K, -Im K], [Im K, Re K]], and with the last row the real and
/// the imaginary parts of J previous. Without previous (no data) S has no last row.
template <class T>
struct SampleSpaceEmbed {
    Matrix<const T> J, previous;
    Matrix<T> S;

    static constexpr Index run = 4;  // elements at a time: a division each would take longer than the copy
    CURVBLAS_DEVICE Index runs() const { return (J.columns / 2 + run - 1) / run; }
    CURVBLAS_DEVICE Index count() const { return (J.rows + (previous.data ? 1 : 0)) * runs(); }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index N = J.rows, n = k / runs(), begin = k % runs() * 2 * run;
        for (Index p = begin; p < begin + 2 * run && p < J.columns; p += 2) {
            if (n == N) {
                S(2 * N, p) = previous(0, p), S(2 * N, p + 1) = -previous(0, p + 1);
                continue;
            }
            const T real = J(n, p), imaginary = J(n, p + 1);
            S(n, p) = real, S(n, p + 1) = imaginary;
            S(N + n, p) = imaginary, S(N + n, p + 1) = -real;
        }
    }
};

/// e = rhs - mu y; y is not read without mu.
template <class T>
struct SampleSpaceRight {
    Matrix<const T> rhs;
    bool is_complex;
    double mu;
    const double* y;
    double* e;

    CURVBLAS_DEVICE Index count() const { return rhs.columns; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index to = is_complex ? k / 2 + k % 2 * (rhs.columns / 2) : k;
        e[to] = static_cast<double>(rhs(0, k)) - (mu != 0 ? mu * y[to] : 0);
    }
};

/// The status after K + damping I = L L^T, whose own is `factor`, and whether eigenvectors have to solve: where a pivot
/// is below `eps` times its diagonal element, or there is no factor.
struct SampleSpaceJudge {
    Matrix<const double> K, L;
    const double *e, *damping;
    double eps;
    const Status* factor;
    Status* status;
    double* needs_basis;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        double sum = 0;
        for (Index i = 0; i < K.rows; ++i) sum += e[i] * 0;
        *status = *factor == Status::not_positive_definite ? Status::ok : *factor;
        if (sum != 0) *status = Status::not_finite;  // NaN is not 0 either
        *needs_basis = 0;
        if (*status != Status::ok) return;
        *needs_basis = *factor != Status::ok ? 1 : 0;
        for (Index i = 0; i < K.rows && *needs_basis == 0; ++i)
            if (!(L(i, i) * L(i, i) >= eps * (K(i, i) + *damping))) *needs_basis = 1;
    }
};

/// y = (values + damping)^-1 V^T e for K = V diag(values) V^T, ascending, without the directions that are `eps` of the
/// largest or less.
struct SampleSpaceProject {
    Matrix<const double> V;
    const double *values, *e, *damping;
    double eps;
    const Status* basis;
    double* y;
    Status* status;

    CURVBLAS_DEVICE Index count() const { return V.rows; }
    CURVBLAS_DEVICE void work(Index k) const {
        const double least = eps * (values[V.rows - 1] + *damping);
        const auto is_kept = [&](Index j) { return values[j] + *damping > least; };
        if (k == 0)
            *status = *basis != Status::ok ? Status::no_convergence : is_kept(0) ? Status::ok : Status::jittered;
        double sum = 0;
        for (Index i = 0; i < V.rows; ++i) sum += V(i, k) * e[i];
        y[k] = is_kept(k) ? sum / (values[k] + *damping) : 0;
    }
};

/// w = V y.
struct SampleSpaceExpand {
    Matrix<const double> V;
    const double* y;
    double* w;

    CURVBLAS_DEVICE Index count() const { return V.rows; }
    CURVBLAS_DEVICE void work(Index i) const {
        double sum = 0;
        for (Index k = 0; k < V.rows; ++k) sum += V(i, k) * y[k];
        w[i] = sum;
    }
};

/// w becomes NaN where there is no solution. There is none of finite numbers, status not_finite, where w is not finite
/// or w . e, which is not less than the square of |J^H w|, is more than `most`.
struct SampleSpaceRefuse {
    Index unknowns;
    const double* e;
    double most;
    Status* status;
    double* w;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        double square = 0;
        for (Index i = 0; i < unknowns; ++i) square += w[i] * e[i];
        if (*status <= Status::jittered && !(square <= most)) *status = Status::not_finite;
        for (Index i = 0; i < unknowns && *status > Status::jittered; ++i) w[i] = NAN;
    }
};

/// 1 where a square on the diagonal of K is not between the two numbers, or NaN; else 0.
struct SampleSpaceFit {
    Matrix<const double> K;
    double least, most;
    double* is_unfit;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        *is_unfit = 0;
        for (Index i = 0; i < K.rows; ++i)
            if (!(K(i, i) >= least && K(i, i) <= most)) *is_unfit = 1;
    }
};

/// x = J^H w + mu previous for complex w, from U = (Re w, Im w)^T J (2, columns), parts as neighbours.
template <class T>
struct SampleSpaceJoin {
    Matrix<const T> U, previous;
    double mu;
    Matrix<T> x;

    CURVBLAS_DEVICE Index count() const { return x.columns / 2; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index p = 2 * k;
        const double real = static_cast<double>(U(0, p)) + static_cast<double>(U(1, p + 1));
        const double imaginary = static_cast<double>(U(1, p)) - static_cast<double>(U(0, p + 1));
        x(0, p) = static_cast<T>(real + part(p)), x(0, p + 1) = static_cast<T>(imaginary + part(p + 1));
    }

  private:
    CURVBLAS_DEVICE double part(Index p) const { return mu != 0 ? mu * static_cast<double>(previous(0, p)) : 0; }
};

/// K = 0.
struct LayerClear {
    Matrix<double> K;

    CURVBLAS_DEVICE Index count() const { return K.rows * K.columns; }
    CURVBLAS_DEVICE void work(Index k) const { K(k / K.columns, k % K.columns) = 0; }
};

/// Whether `squares`, the products of rows with each other, have on their diagonal what float64 finds: where not,
/// because squares of T overflow or vanish, is_wrong of the case is 1. T positions a case; `first`, of cases, is added.
template <class Real>
struct LayerVerify {
    Matrix<const Real> rows;
    Matrix<const double> squares;
    Index T, first;
    double* is_wrong;

    CURVBLAS_DEVICE Index count() const { return T > 0 ? rows.rows / T : 0; }
    CURVBLAS_DEVICE void work(Index n) const {
        for (Index i = n * T; i < n * T + T; ++i) {
            double sum = 0;
            for (Index j = 0; j < rows.columns; ++j)
                sum += static_cast<double>(rows(i, j)) * static_cast<double>(rows(i, j));
            if (!(fabs(squares(i, i) - sum) <= 1e-3 * sum)) is_wrong[first + n] = 1;
        }
    }
};

/// Rows and columns of cases that are wrong become NaN.
struct LayerRefuse {
    Matrix<double> K;
    const double* is_wrong;

    CURVBLAS_DEVICE Index count() const { return K.rows * K.columns; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index n = k / K.columns, m = k % K.columns;
        if (is_wrong[n] != 0 || is_wrong[m] != 0) K(n, m) = NAN;
    }
};

/// K_nm and K_mn += sum over t, u < T of (a_nt . a_mu + shift) (g_nt . g_mu), n of the cases from `first` on and m up
/// to n. A and G are the products of their rows with each other, A_before and G_before those with the rows of earlier
/// cases.
struct LayerPairs {
    Matrix<const double> A, A_before, G, G_before;
    Index T, first;
    double shift;
    Matrix<double> K;

    CURVBLAS_DEVICE Index count() const { return T > 0 ? A.rows / T * (first + A.rows / T) : 0; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index width = first + A.rows / T, n = k / width, m = k % width;
        if (m > first + n) return;
        const bool is_before = m < first;
        const Index column = (is_before ? m : m - first) * T;
        const Matrix<const double>&a = is_before ? A_before : A, &g = is_before ? G_before : G;
        double sum = 0;
        for (Index i = n * T; i < n * T + T; ++i)
            for (Index j = column; j < column + T; ++j) sum += (a(i, j) + shift) * g(i, j);
        K(first + n, m) += sum;
        if (m != first + n) K(m, first + n) = K(first + n, m);
    }
};

/// S (N T, d) = rows, each times the weight w of its case unless that is null.
template <class T>
struct LayerCopy {
    Rows rows;
    const double* w;
    Matrix<T> S;

    CURVBLAS_DEVICE Index count() const { return S.rows * S.columns; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index r = k / rows.d, j = k % rows.d;
        const T x = static_cast<const T*>(rows.row(0, r))[j * rows.d_stride];
        S(r, j) = w ? static_cast<T>(w[r / rows.T] * static_cast<double>(x)) : x;
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
