#include "kernels/kron_sum.h"

#include <limits>

namespace curvblas::cpu {
namespace {

/// Calls work(task, b) for every matrix, of about m n elements each.
template <class Task, class Size, class Work>
void for_each_matrix(const Queue& queue, std::span<const Task> group, const Size& size, const Work& work) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t)
        Queue::append_batches(items, t, size(group[t]).batch,
                              100 + 10 * static_cast<double>(size(group[t]).rows * size(group[t]).columns));
    queue.run(items, [&](const Item& item) {
        for (Index b = item.first; b < item.first + item.count; ++b) work(group[item.task], b);
    });
}

template <class Element, class T>
void for_each_element(const Matrix<T>& M, const Element& element) {
    for (Index i = 0; i < M.rows; ++i)
        for (Index j = 0; j < M.columns; ++j) element(i, j);
}

template <class T>
void judge_matrix(const KronSumReport<T>& report, Index b, double sign) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const Matrix<const T> Z = report.Z[b], BXA = report.BXA[b], DXC = report.DXC[b];
    Status status = status_of_parts(report, b);
    double largest = 0, residual = nan;
    bool finite = true;
    for_each_element(Z, [&](Index i, Index j) {
        const double z = std::abs(static_cast<double>(Z(i, j)));
        finite = finite && std::isfinite(z);
        if (z > largest) largest = z;
    });
    if (status == Status::ok && !finite) status = Status::not_finite;
    if (status == Status::ok) {
        const double scale = largest > 0 ? largest : 1;
        double squares = 0, Z_squares = 0;
        for_each_element(Z, [&](Index i, Index j) {
            const double z = static_cast<double>(Z(i, j)) / scale;
            const double r =
                static_cast<double>(BXA(i, j)) / scale + sign * (static_cast<double>(DXC(i, j)) / scale) - z;
            squares += r * r, Z_squares += z * z;
        });
        residual = relative_residual(squares, Z_squares, scale);
        // Written as not(<=) so that NaN is inaccurate too.
        if (!(residual <= residual_bound)) status = Status::inaccurate;
    }
    report.status[b] = status, report.residual[b] = residual;
    if (status == Status::ok || status == Status::inaccurate) return;
    const Matrix<T> X = report.X[b];
    for_each_element(X, [&](Index i, Index j) { X(i, j) = static_cast<T>(nan); });
}

}  // namespace

template <class T>
void whiten(const Queue& queue, std::span<const Whitening<T>> group) {
    for_each_matrix(
        queue, group, [](const auto& task) { return task.W; },
        [](const Whitening<T>& task, Index b) {
            const Matrix<const T> Q = task.Q[b];
            const Matrix<T> W = task.W[b];
            const T* const values = task.values + b * W.columns;
            for_each_element(W, [&](Index i, Index j) { W(i, j) = Q(i, j) * inverse_root(values[j]); });
        });
}

template <class T>
void find_denominators(const Queue& queue, std::span<const KronSumDenominators<T>> group, double sign) {
    for_each_matrix(
        queue, group, [](const auto& task) { return task.S; },
        [sign](const KronSumDenominators<T>& task, Index b) {
            const Matrix<T> S = task.S[b];
            const T *const s_A = task.A_values + b * S.columns, *const s_B = task.B_values + b * S.rows;
            task.least[b] = least_denominator;
            for_each_element(S, [&](Index i, Index j) { S(i, j) = denominator_above_least(sign, s_A[j], s_B[i]); });
        });
}

template <class T>
void judge(const Queue& queue, std::span<const KronSumReport<T>> group, double sign) {
    for_each_matrix(
        queue, group, [](const auto& report) { return report.X; },
        [sign](const KronSumReport<T>& report, Index b) { judge_matrix(report, b, sign); });
}

template void whiten(const Queue&, std::span<const Whitening<float>>);
template void whiten(const Queue&, std::span<const Whitening<double>>);
template void find_denominators(const Queue&, std::span<const KronSumDenominators<float>>, double);
template void find_denominators(const Queue&, std::span<const KronSumDenominators<double>>, double);
template void judge(const Queue&, std::span<const KronSumReport<float>>, double);
template void judge(const Queue&, std::span<const KronSumReport<double>>, double);

}  // namespace curvblas::cpu
