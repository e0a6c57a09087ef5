// How the moments of one matrix are computed: what update_ekfac_moments.cpp and .cu have in common.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/update_ekfac_moments.h"

namespace curvblas::CURVBLAS_BACKEND {

/// M_n = Q_G^T (sum_t g_nt a_nt^T) Q_A = X_n^T Y_n can be multiplied in several orders. The first step makes Y, and
/// perhaps X; the second sums (X_n^T Y_n) o (X_n^T Y_n) over the cases.
enum class Order : std::uint8_t {
    /// T = 1: X_n^T and Y_n are single rows, so that the sum is one product, of X = (G Q_G) o (G Q_G) and Y likewise.
    squares,
    /// X_n = G_n Q_G and Y_n = A_n Q_A, T rows each: 2 T (p^2 + q^2) flops a case before the second step.
    project_first,
    /// X_n = Q_G and Y_n = (G_n^T A_n) Q_A, q rows: 2 p q (p + q) flops a case more than the sum over positions,
    /// however many there are. For convolutions.
    sum_first,
};

/// Depends on the shape alone, and so do the results.
struct EkfacPlan {
    Index q, p, cases;
    Order order;
    Index X_rows, Y_rows;  ///< that are stored, of one case
    Index chunk;           ///< cases whose X and Y are stored at a time

    template <class T>
    explicit EkfacPlan(const UpdateEkfacMoments<T>& task) : q(task.updated.rows), p(task.updated.columns) {
        constexpr Index most_bytes = Index{32} << 20;
        const Index positions = task.A.T;
        cases = positions > 0 && p > 0 && q > 0 ? task.A.N : 0;
        const double P = static_cast<double>(p), Q = static_cast<double>(q);
        order = positions <= 1                                                        ? Order::squares
                : static_cast<double>(positions) * (P * P + Q * Q) <= P * Q * (P + Q) ? Order::project_first
                                                                                      : Order::sum_first;
        Y_rows = order == Order::sum_first ? q : std::max<Index>(positions, 1);
        X_rows = order == Order::sum_first ? 0 : Y_rows;
        chunk = std::max<Index>(most_bytes / std::max<Index>(words_per_case() * static_cast<Index>(sizeof(T)), 1), 1);
    }
    Index words_per_case() const { return X_rows * q + Y_rows * p; }
};

}  // namespace curvblas::CURVBLAS_BACKEND
