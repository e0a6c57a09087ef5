// What systems in the space of samples need beside products and factors; see algorithms/sample_space_solve.h. N rows
// are as many unknowns, or twice as many, first the real parts and then the imaginary ones, if they are complex.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// K and y += what a block of columns gives: its squares R (N, N), imaginary parts I (N, N; no data: real), products P
/// with the previous solution (N, 1 or 2; no data: none). Only the lower triangle of K is written where K is complex.
template <class T>
struct SampleSpaceAdd {
    Matrix<const double> R, P;
    Matrix<const T> I;
    bool is_first;
    Matrix<double> K;
    double* y;

    CURVBLAS_DEVICE Index count() const { return R.rows * R.rows; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index N = R.rows, n = k / N, m = k % N;
        add(K(n, m), R(n, m));
        if (I.data) add(K(N + n, N + m), R(n, m)), add(K(N + n, m), static_cast<double>(I(n, m)));
        for (Index c = 0; c < P.columns && m == 0; ++c) add(y[c * N + n], P(n, c));
    }

  private:
    CURVBLAS_DEVICE void add(double& sum, double x) const { sum = is_first ? x : sum + x; }
};

/// S = -i J, of rows whose real and imaginary parts are neighbours: Im K = S J^T, with the parts as real numbers.
template <class T>
struct SampleSpaceTurn {
    Matrix<const T> J;
    Matrix<T> S;

    CURVBLAS_DEVICE Index count() const { return J.rows * (J.columns / 2); }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index n = k / (J.columns / 2), p = k % (J.columns / 2) * 2;
        S(n, p) = J(n, p + 1), S(n, p + 1) = -J(n, p);
    }
};

/// V (2, columns), whose products with a row of J are the real and the imaginary part of its product with x.
template <class T>
struct SampleSpaceParts {
    Matrix<const T> x;
    Matrix<T> V;

    CURVBLAS_DEVICE Index count() const { return x.columns / 2; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index p = 2 * k;
        V(0, p) = x(0, p), V(0, p + 1) = -x(0, p + 1);
        V(1, p) = x(0, p + 1), V(1, p + 1) = x(0, p);
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

/// w becomes NaN where there is no solution.
struct SampleSpaceRefuse {
    Index unknowns;
    const Status* status;
    double* w;

    CURVBLAS_DEVICE Index count() const { return unknowns; }
    CURVBLAS_DEVICE void work(Index i) const {
        if (*status > Status::jittered) w[i] = NAN;
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

/// Calls work(k) for k < count() of each, for a struct of this file with such methods.
template <class Task>
void for_each_element(const Queue& queue, std::span<const Task> tasks);

/// The numbers on the host; a device is waited for.
std::vector<double> on_host(const Queue& queue, const double* numbers, Index count);

}  // namespace curvblas::CURVBLAS_BACKEND
