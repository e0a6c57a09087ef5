// The coupled Newton iteration of inverse_root.h for one matrix on the CPU.
#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "cpu/blas.h"
#include "cpu/norm.h"
#include "cpu/scratch.h"
#include "cpu/symmetric.h"

namespace curvblas::cpu {

/// All matrices are n x n, contiguous and symmetric: they are polynomials of A, and what their products lose of their
/// symmetry to rounding is restored after each.
template <class W>
class CoupledNewton {
  public:
    CoupledNewton(const Queue& queue, Index n, Index p) : queue_(queue), n_(n), p_(p), scratch_(7 * bytes<W>(n * n)) {
        for (W** matrix : {&A_, &X_, &M_, &N_, &power_, &square_, &product_})
            *matrix = scratch_.template take<W>(n * n);
    }
    W* A() const { return A_; }  ///< set before iterate()
    W* X() const { return X_; }  ///< A^(-1/p) after it

    /// True if M has become I as far as rounding lets it.
    bool iterate() {
        start();
        constexpr int most_iterations = 100;
        double error = distance(), before;
        for (int k = 0; k < most_iterations && error > tolerance(); ++k) {
            before = error;
            step();
            error = distance();
            // Near the end it falls by squares: what falls by less is rounding. Written as not(<=) so that NaN ends it.
            const bool falls = error <= 1.2 * before && (error > 1e-2 || error <= before / 2);
            if (!falls) break;
        }
        return error <= 1e-2;
    }

    /// Whether A is positive definite: told for the sake of the status.
    bool has_cholesky_factor() const {
        std::copy_n(A_, n_ * n_, M_);
        return blas::cholesky_lower(n_, M_) == 0;
    }

  private:
    double tolerance() const { return 4 * static_cast<double>(std::numeric_limits<W>::epsilon()); }

    /// X = z^(1/p) I, M = z A.
    void start() {
        const double p = static_cast<double>(p_), z = (p + 1) / (2 * norm(n_ * n_, A_));
        std::fill_n(X_, n_ * n_, W(0));
        for (Index i = 0; i < n_; ++i) X_[i * n_ + i] = static_cast<W>(std::pow(z, 1 / p));
        for (Index e = 0; e < n_ * n_; ++e) M_[e] = static_cast<W>(z * static_cast<double>(A_[e]));
    }

    /// max |M - I|; NaN if an element is.
    double distance() const {
        W largest = 0;
        for (Index i = 0; i < n_; ++i)
            for (Index j = 0; j < n_; ++j) {
                const W size = std::abs(M_[i * n_ + j] - (i == j ? W(1) : W(0)));
                if (!(size <= largest)) largest = size;
                if (std::isnan(size)) return std::numeric_limits<double>::quiet_NaN();
            }
        return static_cast<double>(largest);
    }

    /// N = (1 + 1/p) I - M / p; X <- X N; M <- N^p M, the power by squaring.
    void step() {
        const W inverse = W(1) / static_cast<W>(p_);
        for (Index e = 0; e < n_ * n_; ++e) N_[e] = -inverse * M_[e];
        for (Index i = 0; i < n_; ++i) N_[i * n_ + i] += 1 + inverse;
        multiply_into(X_, N_);
        std::copy_n(N_, n_ * n_, power_);
        for (Index rest = p_; rest > 0; rest /= 2) {
            if (rest % 2) multiply_into(M_, power_);
            if (rest == 1) break;
            const Matrix<const W> base{power_, n_, n_, n_, 1};
            n_ >= 512 ? square_of_rows(queue_, base, square_) : square_of_rows(queue_.micro(), base, square_);
            std::swap(power_, square_);
        }
    }

    /// to <- to B.
    void multiply_into(W*& to, const W* B) {
        const auto rows = [&](Index first, Index count) {
            cpu::multiply<W>(queue_.micro(), {to + first * n_, count, n_, n_, 1}, {B, n_, n_, n_, 1},
                             {product_ + first * n_, count, n_, n_, 1});
        };
        if (n_ >= 512) {
            const EvenParts blocks(n_, 256, 4);
            std::vector<Item> items;
            for (Index i = 0; i < blocks.count; ++i) items.push_back({i, 0, 1, 0, 1e6});
            queue_.run(items, [&](const Item& item) { rows(blocks.first(item.task), blocks.size(item.task)); });
        } else {
            rows(0, n_);
        }
        mirror(queue_.micro(), n_, product_, n_);
        std::swap(to, product_);
    }

    const Queue& queue_;
    const Index n_, p_;
    Scratch<CoupledNewton> scratch_;
    W *A_, *X_, *M_, *N_, *power_, *square_, *product_;
};

}  // namespace curvblas::cpu
