// A symmetric matrix made tridiagonal, on one thread.
#pragma once

#include "cpu/micro.h"

namespace curvblas::cpu {

/// A = Q S Q^T, S tridiagonal, by Householder reflections: 4 / 3 n^3 flops, half of them by tiles, half of them reading
/// the rest of A for each reflection.
template <class T>
class Tridiagonal {
  public:
    Tridiagonal(const Micro& micro, Index n, std::byte* memory);
    /// Of the memory, 64-byte aligned and uninitialised.
    static Index bytes(const Micro& micro, Index n);

    /// Where A (n, n) is to be put, full, finite, neither near overflow nor near underflow, and how far apart its rows
    /// are; then where the reflections are, behind the diagonal in each row (see BackTransform), and their factors.
    T* rows() const { return A_; }
    Index ld() const { return ld_; }
    const T* factors() const { return tau_; }

    void reduce(double* diagonal, double* off_diagonal) const;

  private:
    static Index height(const Micro& micro, Index n);
    static Index panel_words(const Micro& micro, Index n);
    void update(Index first) const;

    const Micro& micro_;
    const Index n_, ld_;
    T *A_, *tau_, *V_, *left_, *right_;  ///< the rows of W follow those of V
};

}  // namespace curvblas::cpu
