// What all limited-memory quasi-Newton methods are called with.
#pragma once

#include <algorithm>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// The pairs of a stack of models. Shapes: S and Y (batch, m, n), one pair a row. `ring`, two numbers a model: the row
/// of the oldest pair, which the next ones follow cyclically, and how many there are; null: all m rows, the oldest
/// first. `mask` (batch, 1, m; no data: all) is zero for pairs that are not to be used, which are read all the same.
/// `K` (batch, 2 m, 2 m; null: they are formed) has the products of the rows, as PairProducts. `initial`, one a model:
/// the matrix without pairs is that multiple of I; null: by the rule of the method.
template <class T>
struct PairModels {
    Stack<const T> S, Y, mask;
    const double *ring, *K, *initial;
};

/// Models [first, first + count) of a stack of vectors, and of the models themselves.
template <class U>
Stack<U> some_of(Stack<U> A, Index first, Index count) {
    A.data = A.data ? A.data + first * A.batch_stride : nullptr, A.batch = count;
    return A;
}
template <class T>
PairModels<T> some_of(PairModels<T> models, Index first, Index count) {
    const Index square = 4 * models.S.rows * models.S.rows;
    for (Stack<const T>* A : {&models.S, &models.Y, &models.mask}) *A = some_of(*A, first, count);
    if (models.ring) models.ring += 2 * first;
    if (models.K) models.K += first * square;
    if (models.initial) models.initial += first;
    return models;
}

/// Calls work(first, count) for neighbouring models that a thread's second-level cache holds together, with `words` of
/// scratch each, and that are enough for the lanes of small eigenproblems; for a large model alone, on all threads.
template <class T, class Work>
void in_pieces(const Queue& queue, const PairModels<T>& models, Index words, const Work& work) {
    constexpr Index lanes = 8, many = 4;
    const Index batch = models.S.batch, m = models.S.rows;
    const Index own = 2 * (m + 1) * models.S.columns * static_cast<Index>(sizeof(T)) + words * 8;
    if (own / many > Queue::piece_bytes) {
        for (Index b = 0; b < batch; ++b) work(b, Index{1});
        return;
    }
    const Index count = std::clamp<Index>(Queue::piece_bytes / own / lanes * lanes, lanes, std::max(batch, lanes));
    const auto cost = static_cast<double>(count) * (static_cast<double>(own) * static_cast<double>(m + 2) / 4 + 1e4);
    queue.run_pieces((batch + count - 1) / count, cost, [&](Index piece) {
        const Index first = piece * count;
        work(first, std::min(count, batch - first));
    });
}

}  // namespace curvblas::CURVBLAS_BACKEND
