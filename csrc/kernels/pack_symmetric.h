// The packed form of symmetric matrices: the lower triangles of a whole group in one flat buffer, and back.
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// The elements on and below the diagonal in the rows above row i; with i = n, those of the matrix.
CURVBLAS_DEVICE constexpr Index triangle(Index i) { return i * (i + 1) / 2; }

/// packed[(b triangle(n) + triangle(i) + j) stride] = C_b(i, j) for j <= i and every matrix b of every task: row by
/// row, each with its i + 1 first elements, one matrix after the other. Only the lower triangles of C are read.
/// The packed form may not overlap C. Cost per matrix: n (n + 1) words, half of them read, half written.
template <class T>
struct PackSymmetric {
    Stack<const T> C;
    T* packed;
    Index stride;
};

/// The inverse: C_b(i, j) = C_b(j, i) = packed[(b triangle(n) + triangle(i) + j) stride], full storage, exactly
/// symmetric. Cost per matrix: n (n + 1) / 2 words read, n^2 written.
template <class T>
struct UnpackSymmetric {
    const T* packed;
    Index stride;
    Stack<T> C;
};

template <class T>
void pack_symmetric(const Queue& queue, std::span<const PackSymmetric<T>> group);
template <class T>
void unpack_symmetric(const Queue& queue, std::span<const UnpackSymmetric<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
