// Inner products of long rows: what low-rank and quasi-Newton methods read their small problems from.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr Index most_exact_rows = 8;

/// K = R R^T and P = R V^T for every matrix of every task, on the CPU in one pass over R where m <= 32. Shapes: R
/// (batch, m, n), V (batch, s, n), K (batch, m, m), P (batch, m, s); K or P without data is not wanted. K is written
/// whole and exactly symmetric. Nothing that is written may overlap R or V.
///
/// The products for up to most_exact_rows of R are formed in float64, where memory bounds them anyway: no square of a
/// float32 overflows. Others are formed in T (P in strips of 32 rows, the last of which may be short), summed in T over
/// 4 kB of a row (m > 32, and on a device: 4,096 elements), and in float64 beyond. How n is cut depends on the shape
/// alone: same bits for any number of threads. NaN and Inf spread to the products of their row. Linear: there is no
/// status. Cost per matrix: m (m + 1) n + 2 m s n flops; (m + s) n words, which a device reads once for every four
/// rows.
template <class T>
struct Gram {
    Stack<const T> R, V;
    Stack<double> K, P;
};

template <class T>
void gram(const Queue& queue, std::span<const Gram<T>> group);

/// Appends a task, as so few rows at a time that all of its products are formed in float64.
template <class T>
void append_exact(std::vector<Gram<T>>& tasks, const Gram<T>& task) {
    const auto some = [](auto A, Index first, Index count) {
        A.data = A.data ? A.data + first * A.row_stride : nullptr, A.rows = count;
        return A;
    };
    if (sizeof(T) == sizeof(double) || task.R.rows <= most_exact_rows) return tasks.push_back(task);
    for (Index i = 0; i < task.R.rows; i += most_exact_rows) {
        const Index count = std::min(most_exact_rows, task.R.rows - i);
        if (task.K.data) tasks.push_back({some(task.R, i, count), task.R, {}, some(task.K, i, count)});
        if (task.P.data) tasks.push_back({some(task.R, i, count), task.V, {}, some(task.P, i, count)});
    }
}

}  // namespace curvblas::CURVBLAS_BACKEND
