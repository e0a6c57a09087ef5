// Products of two matrices on one thread, whatever their size and strides: as they lie, or packed.
#pragma once

#include "cpu/micro.h"

namespace curvblas::cpu {

/// C = A B for A (m, k), B (k, n), C (m, n) of any strides; C may not overlap A or B. Which of the two multiplies
/// depends on the shape alone. What neither can read or write is copied.
template <class T>
void multiply(const Micro& micro, const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C);

/// Whether `multiply` takes B (rows, columns) as it lies, if its rows have unit stride.
template <class T>
bool is_for_registers(const Micro& micro, Index rows, Index columns) {
    constexpr Index most_steps = 1024;  // the rows of B lie on as many pages
    return rows <= most_steps && rows * columns * static_cast<Index>(sizeof(T)) <= micro.small_product<T>().most_bytes;
}

/// How long `count` products of m x n by n x k elements take, in the unit of Item::cost (0.1 ns).
template <class T>
double cost_of_products(double count, Index m, Index k, Index n) {
    constexpr double per_unit = sizeof(T) == 4 ? 10 : 5;  // multiply-adds count twice
    return count * (150 + 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n) / per_unit);
}

}  // namespace curvblas::cpu
