// Inner products of long rows: what low-rank and quasi-Newton methods read their small problems from.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr Index most_exact_rows = 8, most_rows_of_pairs = 32;

/// K = R R^T and P = R V^T for every matrix of every task, on the CPU in one pass over R where m <= 32. Shapes: R
/// (batch, m, n), V (batch, s, n), K (batch, m, m), P (batch, m, s); K or P without data is not wanted. K is written
/// whole and exactly symmetric. Nothing that is written may overlap R or V.
///
/// The products for up to most_exact_rows of R are formed in float64, where memory bounds them anyway: no square of a
/// float32 overflows; and so are all where `exact`, which K of m > 32 may not have. Others are formed in T (P in strips
/// of 32 rows, the last of which may be short), summed in T over 4 kB of a row (m > 32, and on a device: 4,096
/// elements), and in float64 beyond. How n is cut depends on the shape alone: same bits for any number of threads. NaN
/// and Inf spread to the products of their row. Linear: there is no status. Cost per matrix: m (m + 1) n + 2 m s n
/// flops; (m + s) n words, which a device reads once for every four rows.
template <class T>
struct Gram {
    Stack<const T> R, V;
    Stack<double> K, P;
    bool exact = false;
};

template <class T>
void gram(const Queue& queue, std::span<const Gram<T>> group);

/// Appends a task, all of whose products are to be formed in float64.
template <class T>
void append_exact(std::vector<Gram<T>>& tasks, Gram<T> task) {
    task.exact = true;
    if (task.K.data && task.R.rows > most_rows_of_pairs && sizeof(T) < sizeof(double)) {
        tasks.push_back({task.R, task.R, {}, task.K, true});
        task.K = {};
    }
    if (task.K.data || task.P.data) tasks.push_back(task);
}

}  // namespace curvblas::CURVBLAS_BACKEND
