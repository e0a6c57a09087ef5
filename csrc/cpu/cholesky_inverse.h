// The inverse of one symmetric positive definite matrix, or of a diagonal block of a larger one, by one thread.
#pragma once

#include "core/view.h"
#include "cpu/micro.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {

/// A = U^T U, M = U^-T, A^-1 = M^T M: every step is a sum of outer products of rows, so that the tiles of second
/// moments do all of it, eight rows at a time, and nothing is packed. Meant for matrices that stay in the second-level
/// cache with a second one of their size; n^3 flops.
template <class W>
class CholeskyInverse {
  public:
    static Index bytes(const Micro& micro, Index n) { return 2 * cpu::bytes<W>(order_of(n) * stride_of(micro, n)); }

    template <class Scratch>
    CholeskyInverse(const Micro& micro, Index n, Scratch& scratch)
        : micro_(micro),
          n_(n),
          order_(order_of(n)),
          ld_(stride_of(micro, n)),
          U_(scratch.template take<W>(order_ * ld_)),
          M_(scratch.template take<W>(order_ * ld_)) {}

    /// A + shift I from the lower triangle of A, or A from copy_row(i, to), which writes row i of -A from its diagonal
    /// on.
    template <class T>
    void load_lower(const T* A, Index ld, double shift);
    template <class Copy>
    void load_negative_upper(const Copy& copy_row) {
        for (Index i = 0; i < n_; ++i) copy_row(i, U_ + i * ld_ + i);
        pad();
    }

    /// U and M. Returns the order of the leading minor that is not positive, or 0, and then adds to log_det.
    Index factor(double& log_det) { return factor_rows(true, log_det); }
    /// U without M, two thirds of the work saved.
    Index factor_alone(double& log_det) { return factor_rows(false, log_det); }
    const W* upper_factor() const { return U_; }
    /// M, lower triangular, with zeros above its diagonal.
    const W* inverse_factor() const { return M_; }
    /// The inverse, whose lower triangle replaces U.
    const W* multiply();
    Index stride() const { return ld_; }

  private:
    static Index order_of(Index n) { return (n + rows - 1) / rows * rows; }
    /// Rows begin in different cache sets, and vectors may run over their end.
    static Index stride_of(const Micro& micro, Index n) {
        const Tile<W>& tile = micro.tile<W>();
        return tile.padded(order_of(n)) + tile.granule;
    }
    void pad();
    Index factor_rows(bool with_inverse, double& log_det);
    /// to[0 ... height, 0 ... width) (+)= sum over k in [first, last) of x[k, i] y[k, j].
    void multiply(Index first, Index last, const W* x, const W* y, Index height, Index width, bool lower, bool add,
                  W* to) const;

    static constexpr Index rows = 8;  // that are eliminated at a time
    const Micro& micro_;
    const Index n_, order_, ld_;
    W *const U_, *const M_;
};

}  // namespace curvblas::cpu
