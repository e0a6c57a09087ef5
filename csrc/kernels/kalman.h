// The small work of Kalman filters of parameters (Ollivier 2017): a block of parameters a filter with a covariance P
// (n, n), o outputs. What is as large as P is that of products and update_factors. See algorithms/kalman.h.
#pragma once

#include <cmath>
#include <span>

#include "core/status.h"
#include "core/view.h"
#include "kernels/for_each_element.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// The first P: `given` (n, n), of which the lower triangle is read, or (no data) `variance` on the diagonal.
template <class T>
struct KalmanStart {
    Matrix<const double> given;
    double variance;
    Matrix<T> P;

    CURVBLAS_DEVICE Index count() const { return P.rows * P.rows; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index i = k / P.rows, j = k % P.rows;
        const double other = i == j ? variance : 0;
        P(i, j) = static_cast<T>(!given.data ? other : i > j ? given(i, j) : given(j, i));
    }
};

/// H, or W = H P (o, n), in float64.
template <class T>
struct KalmanWiden {
    Matrix<const T> narrow;
    Matrix<double> wide;

    CURVBLAS_DEVICE Index count() const { return narrow.rows * narrow.columns; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index i = k / narrow.columns, j = k % narrow.columns;
        wide(i, j) = static_cast<double>(narrow(i, j));
    }
};

/// From S = H P H^T (o, o): growth S + R, with R (o, o), or (o, 1) for a diagonal; and the error e (o, 1) beside H P,
/// where one triangular system takes both.
template <class T>
struct KalmanSystem {
    Matrix<const T> R, e;
    bool is_diagonal;
    double growth;
    Matrix<double> S, right;

    CURVBLAS_DEVICE Index count() const { return S.rows * S.rows; }
    CURVBLAS_DEVICE void work(Index k) const {
        const Index i = k / S.rows, j = k % S.rows;
        const double other = is_diagonal ? 0 : static_cast<double>(R(i, j));
        S(i, j) = growth * S(i, j) + (is_diagonal && i == j ? static_cast<double>(R(i, 0)) : other);
        if (j == 0) right(i, 0) = static_cast<double>(e(i, 0));
    }
};

/// The status after S = L L^T, whose own is `factor`, and y = L^-1 e (o, 1); and the numbers of P <- keep P + add X^T X
/// with X = L^-1 H P: 1 and 0 where P is to be left. A pivot that the rounding of float64 explains is none,
/// and a negative variance in R makes a P that is not definite.
template <class T>
struct KalmanJudge {
    Matrix<const double> S, L, y;
    Matrix<const T> R;
    bool is_diagonal;
    double growth;
    const Status* factor;
    Status* status;
    double *keep, *add;

    CURVBLAS_DEVICE static Index count() { return 1; }
    CURVBLAS_DEVICE void work(Index) const {
        constexpr double eps = 2.220446049250313e-16;
        Status found = *factor;
        for (Index i = 0; i < S.rows && found == Status::ok; ++i)
            if (R(i, is_diagonal ? 0 : i) < 0) found = Status::not_positive_definite;
        for (Index i = 0; i < S.rows && found == Status::ok; ++i)
            if (!(L(i, i) * L(i, i) > static_cast<double>(S.rows) * eps * S(i, i)))
                found = Status::not_positive_definite;
        if (found == Status::ok && !is_finite()) found = Status::not_finite;
        *status = found;
        *keep = found == Status::ok ? growth : 1;
        *add = found == Status::ok ? -growth * growth : 0;
    }

  private:
    CURVBLAS_DEVICE bool is_finite() const {
        double zero = 0;
        for (Index i = 0; i < y.rows; ++i) zero += y(i, 0) * 0;
        return zero == 0;
    }
};

/// update = growth X^T y (n). Where the status is not ok it is NaN, and X becomes zero.
template <class T>
struct KalmanGain {
    Matrix<double> X;
    Matrix<const double> y;
    double growth;
    const Status* status;
    T* update;

    CURVBLAS_DEVICE Index count() const { return X.columns; }
    CURVBLAS_DEVICE void work(Index j) const {
        const bool good = *status == Status::ok;
        double sum = good ? 0 : NAN;
        for (Index i = 0; i < X.rows; ++i)
            if (good)
                sum += X(i, j) * y(i, 0);
            else
                X(i, j) = 0;
        update[j] = static_cast<T>(growth * sum);
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
