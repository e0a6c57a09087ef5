#include "kernels/inverse_free.h"

namespace curvblas::cpu {
namespace {

/// Calls work(factor, b) for every matrix.
template <class T, class Work>
void for_each_matrix(const Queue& queue, std::span<const InverseFreeFactor<T>> group, const Work& work) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const double n = static_cast<double>(group[t].K.rows), q = static_cast<double>(group[t].C.rows);
        Queue::append_batches(items, t, group[t].K.batch, 100 + 10 * (n * n + q * q));
    }
    queue.run(items, [&](const Item& item) {
        for (Index b = item.first; b < item.first + item.count; ++b) work(group[item.task], b);
    });
}

/// sum X o Y in float64.
template <class T, class U>
double inner_product(const Matrix<T>& X, const Matrix<U>& Y) {
    double sum = 0;
    for (Index i = 0; i < X.rows; ++i)
        for (Index j = 0; j < X.columns; ++j) sum += static_cast<double>(X(i, j)) * static_cast<double>(Y(i, j));
    return sum;
}

}  // namespace

template <class T>
void combine_curvature(const Queue& queue, std::span<const InverseFreeFactor<T>> group, InverseFreeRule rule) {
    for_each_matrix(queue, group, [rule](const InverseFreeFactor<T>& factor, Index b) {
        const Matrix<const T> C = factor.C[b];
        const bool traces = rule == InverseFreeRule::singd;
        const CurvatureWeights weights(rule, factor.damping[b], traces ? inner_product(C, factor.H_other[b]) : 0,
                                       traces ? inner_product(C, C) : 0, C.rows);
        const Matrix<const T> K = factor.K[b];
        const Matrix<T> H = factor.H[b], U = factor.U[b];
        for (Index i = 0; i < K.rows; ++i)
            for (Index j = 0; j < K.columns; ++j)
                U(i, j) =
                    static_cast<T>(weights.a * static_cast<double>(H(i, j)) + weights.b * static_cast<double>(K(i, j)));
    });
}

template <class T>
void update_momentum(const Queue& queue, std::span<const InverseFreeFactor<T>> group) {
    for_each_matrix(queue, group, [](const InverseFreeFactor<T>& factor, Index b) {
        const double keep = valid_or_nan(factor.keep[b], 1);
        const Matrix<const T> M = factor.momentum[b];
        const Matrix<T> product = factor.product[b], updated = factor.new_momentum[b];
        for (Index i = 0; i < M.rows; ++i)
            for (Index j = 0; j < M.columns; ++j) updated(i, j) = next_momentum(keep, M(i, j), product(i, j), i == j);
    });
}

template <class T>
void apply_momentum(const Queue& queue, std::span<const InverseFreeFactor<T>> group) {
    for_each_matrix(queue, group, [](const InverseFreeFactor<T>& factor, Index b) {
        const T step = static_cast<T>(valid_or_nan(factor.step[b], HUGE_VAL));
        const Matrix<const T> K = factor.K[b];
        const Matrix<T> product = factor.product[b], updated = factor.new_K[b];
        for (Index i = 0; i < K.rows; ++i)
            for (Index j = 0; j < K.columns; ++j) updated(i, j) = K(i, j) - step * product(i, j);
    });
}

template void combine_curvature(const Queue&, std::span<const InverseFreeFactor<float>>, InverseFreeRule);
template void combine_curvature(const Queue&, std::span<const InverseFreeFactor<double>>, InverseFreeRule);
template void update_momentum(const Queue&, std::span<const InverseFreeFactor<float>>);
template void update_momentum(const Queue&, std::span<const InverseFreeFactor<double>>);
template void apply_momentum(const Queue&, std::span<const InverseFreeFactor<float>>);
template void apply_momentum(const Queue&, std::span<const InverseFreeFactor<double>>);

}  // namespace curvblas::cpu
