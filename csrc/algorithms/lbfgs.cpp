#include "algorithms/lbfgs.h"

#include <vector>

#include "algorithms/workspace.h"
#include "kernels/gram.h"
#include "kernels/lbfgs.h"
#include "kernels/lbfgs_two_loop.h"
#include "kernels/low_rank_apply.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr Index words_of(Index m) { return 4 * m * m + 4 * m + 1; }

/// Some neighbouring models by the compact form.
template <class T>
void by_products(const Queue& queue, const LbfgsDirection<T>& task) {
    const auto& [models, g, direction] = task;
    const Index m = models.S.rows, batch = g.batch;
    Workspace<double> numbers(queue, batch * words_of(m));
    double *const own_K = numbers.take(batch * 4 * m * m), *const P = numbers.take(batch * 2 * m);
    double *const q = numbers.take(batch * 2 * m), *const weight = numbers.take(batch);
    const auto square = [&](Index i, Index j) {
        return Stack<double>{own_K + i * 2 * m + j, m, m, 2 * m, 1, batch, 4 * m * m};
    };
    const auto half = [&](double* first, Index rows, Index columns) {
        return Stack<double>{first, rows, columns, columns, 1, batch, 2 * m};
    };
    std::vector<Gram<T>> tasks;
    const bool forms = !models.K && m > 0;
    if (forms) append_exact<T>(tasks, {models.S, models.Y, square(0, 0), square(0, m)});
    if (m > 0) append_exact<T>(tasks, {models.S, g, {}, half(P, m, 1)});
    if (m > 0) append_exact<T>(tasks, {models.Y, g, forms ? square(m, m) : Stack<double>{}, half(P + m, m, 1)});
    gram<T>(queue, tasks);
    const LbfgsCombine<T> combine{m, batch, models.ring, models.K ? models.K : own_K, models.initial, models.mask,
                                  P, q,     weight};
    for_each_element<LbfgsCombine<T>>(queue, std::span(&combine, 1), 200 + 10 * static_cast<double>(m * m));
    LowRankApply<T> apply{read_only(half(q, 1, m)), models.S, g, weight, direction};
    apply.Q_2 = read_only(half(q + m, 1, m)), apply.R_2 = models.Y;
    low_rank_apply<T>(queue, std::span(&apply, 1));
}

}  // namespace

template <class T>
void lbfgs_direction(const Queue& queue, const LbfgsDirection<T>& task) {
    const auto& [models, g, direction] = task;
    if (!models.K && is_for_two_loop(models.S.rows, g.columns))
        return lbfgs_two_loop<T>(queue, {models.S, models.Y, models.mask, g, models.initial, direction});
    in_pieces(queue, models, words_of(models.S.rows), [&](Index first, Index count) {
        by_products<T>(queue, {some_of(task.models, first, count), some_of(task.g, first, count),
                               some_of(task.direction, first, count)});
    });
}

template void lbfgs_direction(const Queue&, const LbfgsDirection<float>&);
template void lbfgs_direction(const Queue&, const LbfgsDirection<double>&);

}  // namespace curvblas::CURVBLAS_BACKEND
