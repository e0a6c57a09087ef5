// Two eigenproblems put together again: which of their eigenpairs stay as they are.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace curvblas::cpu {

/// The half in which an eigenvector is not zero, or both; in the order in which DivideAndConquer multiplies them.
enum class Half : std::uint8_t { upper, both, lower };

/// A tridiagonal matrix torn in two: of row i in [first, last), which belongs to the upper half up to `middle`, an
/// eigenvalue and, within [first, last), its eigenvector.
template <class T>
struct Halves {
    Index first, middle, last;
    T* rows;
    Index ld;
    double *values, *z;
    Half* half;
};

/// z, of length 1, and the returned weight: in the basis of both halves' eigenvectors, what b couples is diag(values) +
/// weight z z^T.
template <class T>
double couple(const Halves<T>& halves, double b);

/// Eigenpairs that the weight leaves as they are, to within 4 eps: where z is small, and where two values are so close
/// that one can be had so, by a rotation of both (Dongarra and Sorensen 1987). `order` lists the rows by their values.
/// Returns how many are left, listed in `kept` by their values; the others are listed before `unchanged_end`.
template <class T>
Index deflate(const Halves<T>& halves, double weight, const Index* order, Index* kept, Index* unchanged_end);

}  // namespace curvblas::cpu
