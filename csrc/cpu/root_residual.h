// The certificate of an inverse p-th root: what X^p (C + shift I) - I is, estimated from products with vectors.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/probe.h"
#include "core/status.h"
#include "cpu/micro.h"
#include "cpu/norm.h"

namespace curvblas::cpu {

/// A symmetric matrix A = C + shift I and its root X, both full and contiguous.
template <class T>
class RootResidual {
  public:
    /// `vectors` holds 3 n.
    RootResidual(const Micro& micro, Index n, Index p, const T* C, double shift, const T* X, double* vectors)
        : micro_(micro), n_(n), p_(p), C_(C), X_(X), shift_(shift), z_(vectors), y_(z_ + n), r_(y_ + n) {
        const double size = norm_bound(C_) + shift_;
        // (A / size) (X size^(1/p))^p is A X^p, and nothing in between overflows that does not have to.
        scale_ = size > 0 ? std::min(1 / size, 1e300) : 1;
        root_scale_ = std::pow(scale_, -1 / static_cast<double>(p));
        norms_ = size * scale_ * std::pow(norm_bound(X_) * root_scale_, static_cast<double>(p));
    }

    double estimate() {
        double largest = 0;
        const auto add_probe = [&] {  // the largest so far; once NaN, always NaN
            const double size = residual_of_z();
            if (size > largest || std::isnan(size)) largest = size;
        };
        for (Index i = 0; i < n_; ++i) z_[i] = probe_sign(0, i);
        add_probe();
        const double length = norm(n_, y_);
        for (Index i = 0; i < n_; ++i) z_[i] = y_[i] / length;
        add_probe();
        // What the rounding of X to T adds has no direction that a single vector is sure to meet, and what the products
        // are rounded by cannot be told from a residual: the norms bound both.
        constexpr double surely_below = residual_bound / 4;
        const double steps = static_cast<double>(p_) * norms_;
        const double noise = steps * 0x1p-53, rounding = steps * std::numeric_limits<T>::epsilon() / 2;
        if (largest + noise <= surely_below && rounding <= surely_below) return largest + noise;
        if (n_ <= 64) return frobenius() + noise;
        for (Index probe = 1; probe <= 16; ++probe) {
            for (Index i = 0; i < n_; ++i) z_[i] = probe_sign(probe, i);
            add_probe();
        }
        return largest + noise;
    }

  private:
    /// An upper bound of the spectral norm: the smaller one of Frobenius and the largest sum of magnitudes of a row.
    double norm_bound(const T* A) const {
        double largest = 0;
        for (Index i = 0; i < n_; ++i) {
            double sum = 0;
            for (Index j = 0; j < n_; ++j) sum += std::abs(static_cast<double>(A[i * n_ + j]));
            largest = std::max(largest, sum);
        }
        return std::min(largest, norm(n_ * n_, A));
    }

    void multiply(const T* A, const double* x, double* y) const {
        std::fill_n(y, n_, 0.0);
        micro_.template small<T>().add_symmetric_product(0, n_, A, n_, x, y);
    }

    /// ||(A X^p - I) z||; leaves X^p z, scaled, in y.
    double residual_of_z() {
        std::copy_n(z_, n_, y_);
        for (Index k = 0; k < p_; ++k) {
            multiply(X_, y_, r_);
            for (Index i = 0; i < n_; ++i) y_[i] = r_[i] * root_scale_;
        }
        multiply(C_, y_, r_);
        for (Index i = 0; i < n_; ++i) r_[i] = (r_[i] + shift_ * y_[i]) * scale_ - z_[i];
        return norm(n_, r_);
    }

    double frobenius() {
        double squares = 0;
        for (Index column = 0; column < n_; ++column) {
            std::fill_n(z_, n_, 0.0);
            z_[column] = 1;
            const double length = residual_of_z();
            squares += length * length;
        }
        return std::sqrt(squares);
    }

    const Micro& micro_;
    const Index n_, p_;
    const T *C_, *X_;
    const double shift_;
    double *z_, *y_, *r_;
    double scale_, root_scale_, norms_;
};

}  // namespace curvblas::cpu
