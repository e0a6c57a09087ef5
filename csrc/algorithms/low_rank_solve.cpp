#include "algorithms/low_rank_solve.h"

#include <vector>

#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/low_rank_weights.h"
#include "kernels/multiply.h"

namespace curvblas::CURVBLAS_BACKEND {

template <class T>
void low_rank_solve(const Queue& queue, std::span<const LowRankSolve<T>> group) {
    Index size = 0;
    for (const auto& [U, values, damping, G, X] : group) size += U.batch * G.rows * (2 * U.rows + 1);
    const auto scratch = queue.template scratch<double>(size);
    double* next = scratch.get();
    const auto take = [&](Index rows, Index columns, Index batch) {
        const Stack<double> own = contiguous_stack(next, rows, columns, batch);
        next += batch * rows * columns;
        return own;
    };

    std::vector<Gram<T>> products;
    std::vector<LowRankWeights<T>> weights;
    std::vector<LowRankApply<T>> sums;
    for (const auto& [U, values, damping, G, X] : group) {
        const Stack<double> P = take(G.rows, U.rows, U.batch), Q = take(G.rows, U.rows, U.batch);
        const Stack<double> w = take(1, G.rows, U.batch);
        products.push_back({G, U, {}, P});
        weights.push_back({values, damping, read_only(P), Q, w});
        sums.push_back({read_only(Q), U, G, w.data, X});
    }
    gram<T>(queue, products);
    low_rank_weights<T>(queue, weights);
    low_rank_apply<T>(queue, sums);
}

template void low_rank_solve(const Queue&, std::span<const LowRankSolve<float>>);
template void low_rank_solve(const Queue&, std::span<const LowRankSolve<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
