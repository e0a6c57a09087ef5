#include "kernels/inverse_root.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "cpu/blas.h"
#include "cpu/root_residual.h"
#include "cpu/scratch.h"
#include "cpu/symmetric.h"
#include "kernels/coupled_newton.h"
#include "kernels/eigenbasis.h"

namespace curvblas::cpu {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double retry_residual = 1e-3;  // above it, a float32 root is computed again in float64
constexpr Index large = 512;             // from here on all threads work on one symmetric product

struct RootReport {
    Status status;
    double residual;
};
constexpr RootReport failed(Status status) { return {status, nan}; }

bool is_valid(double damping) { return damping >= 0 && std::isfinite(damping); }

/// One matrix: what the methods share. X, n^2 of W, holds a root that is yet to be judged.
template <class T, class W>
RootReport judge(const Micro& micro, const InverseRoot<T>& task, Index b, Index p, const W* X) {
    const Matrix<const T> C = task.C[b];
    const Index n = C.rows;
    struct Tag {};
    Scratch<Tag> scratch(2 * bytes<T>(n * n) + bytes<double>(3 * n));
    T* const A = scratch.template take<T>(n * n);
    T* const rounded = scratch.template take<T>(n * n);
    copy_symmetric(micro, C, std::identity{}, A);
    bool finite = true;
    for (Index e = 0; e < n * n; ++e) {
        rounded[e] = static_cast<T>(X[e]);
        finite = finite && std::isfinite(rounded[e]);
    }
    if (!finite) return failed(Status::inaccurate);
    const double residual =
        RootResidual<T>(micro, n, p, A, task.damping[b], rounded, scratch.template take<double>(3 * n)).estimate();
    const Matrix<T> to = task.X[b];
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) to(i, j) = rounded[i * n + j];
    // Written as not(<=) so that NaN is inaccurate too.
    return {!(residual <= residual_bound) ? Status::inaccurate : Status::ok, residual};
}

/// V diag((w + damping)^(-1/p)) V^T, judged. V may be the X of the task.
template <class T, class W>
RootReport root_from_basis(const Queue& queue, const InverseRoot<T>& task, Index b, Index p, const W* w,
                           const Matrix<W>& V) {
    const Index n = V.rows;
    const double damping = task.damping[b];
    if (!is_valid(damping)) return failed(Status::invalid_parameter);
    if (n == 0) return {Status::ok, 0};
    const double largest = std::max(std::abs(static_cast<double>(w[0])), std::abs(static_cast<double>(w[n - 1])));
    // Of the precision in which the values were computed; those of float32 are looked at again in float64.
    const double known = static_cast<double>(n) * static_cast<double>(std::numeric_limits<W>::epsilon()) * largest;
    const double smallest = static_cast<double>(w[0]) + damping;
    if (!(smallest > known)) return failed(Status::not_positive_definite);
    struct Tag {};
    Scratch<Tag> scratch(2 * bytes<W>(n * n) + bytes<W>(n));
    W* const S = scratch.template take<W>(n * n);
    W* const X = scratch.template take<W>(n * n);
    W* const factors = scratch.template take<W>(n);
    for (Index j = 0; j < n; ++j)
        factors[j] = static_cast<W>(std::pow(static_cast<double>(w[j]) + damping, -0.5 / static_cast<double>(p)));
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) S[i * n + j] = V(i, j) * factors[j];
    const Matrix<const W> halves{S, n, n, n, 1};
    n >= large ? square_of_rows(queue, halves, X) : square_of_rows(queue.micro(), halves, X);
    return judge<T, W>(queue.micro(), task, b, p, X);
}

/// The report becomes the caller's, and the root of a failed matrix NaN.
template <class T>
void conclude(const InverseRoot<T>& task, Index b, const RootReport& report) {
    task.reports.status[b] = report.status, task.reports.residual[b] = report.residual;
    const bool handed_out = report.status == Status::ok || !std::isnan(report.residual);
    const Matrix<T> X = task.X[b];
    if (handed_out) return;
    for (Index i = 0; i < X.rows; ++i)
        for (Index j = 0; j < X.columns; ++j) X(i, j) = static_cast<T>(nan);
}

/// Whether float64 may do better than float32 did.
bool is_worth_float64(const RootReport& report) {
    const bool hopeless = report.status == Status::not_finite || report.status == Status::invalid_parameter;
    return !hopeless && !(report.residual <= retry_residual);
}

struct Failed {
    Index task, b;
};

/// Calls work(task, b) for every matrix: the large ones one after the other, with all threads, the others an item each.
template <class T, class Work>
void for_each_matrix(const Queue& queue, std::span<const InverseRoot<T>> group, double flops, const Work& work) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Index n = group[t].C.rows, batch = group[t].C.batch;
        const auto size = static_cast<double>(n);
        if (n < large) Queue::append_batches(items, t, batch, 2000 + size * size * (60 + flops * size));
        for (Index b = 0; n >= large && b < batch; ++b) work(t, b);
    }
    queue.run(items, [&](const Item& item) {
        for (Index b = item.first; b < item.first + item.count; ++b) work(item.task, b);
    });
}

/// Where each task's matrices begin when all are counted.
template <class T>
std::vector<Index> first_matrices(std::span<const InverseRoot<T>> group) {
    std::vector<Index> first{0};
    for (const auto& task : group) first.push_back(first.back() + task.C.batch);
    return first;
}

template <class T>
std::vector<Failed> marked(std::span<const InverseRoot<T>> group, const std::vector<Index>& first,
                           const std::vector<char>& marks) {
    std::vector<Failed> failures;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t)
        for (Index b = 0; b < group[t].C.batch; ++b)
            if (marks[first[t] + b]) failures.push_back({t, b});
    return failures;
}

/// The eigenbases of float32 matrices again, in float64, and the roots from them.
void again_by_eigh(const Queue& queue, std::span<const InverseRoot<float>> group, std::span<const Failed> failures,
                   Index p) {
    Index words = 0, values = 0;
    for (const Failed& f : failures) {
        const Index n = group[f.task].C.rows;
        words += 2 * n * n, values += n;
    }
    const auto matrices = std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(words));
    const auto w = std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(values));
    std::vector<Eigenbasis<double>> bases;
    words = values = 0;
    for (const Failed& f : failures) {
        const auto& task = group[f.task];
        const Index n = task.C.rows;
        double* const C = matrices.get() + words;
        copy_symmetric(queue.micro(), task.C[f.b], std::identity{}, C);
        bases.push_back({{C, n, n, n, 1, 1, 0},
                         {},
                         w.get() + values,
                         {C + n * n, n, n, n, 1, 1, 0},
                         {task.reports.status + f.b, task.reports.residual + f.b}});
        words += 2 * n * n, values += n;
    }
    eigenbasis<double>(queue, bases);
    const auto conclude_one = [&](Index k) {
        const auto& task = group[failures[k].task];
        const Index b = failures[k].b;
        const Status status = task.reports.status[b];
        conclude(task, b,
                 status != Status::ok ? failed(status)
                                      : root_from_basis(queue, task, b, p, bases[k].values, bases[k].vectors[0]));
    };
    std::vector<Item> items;
    for (Index k = 0; k < static_cast<Index>(failures.size()); ++k) {
        const auto n = static_cast<double>(bases[k].C.rows);
        if (bases[k].C.rows >= large)
            conclude_one(k);
        else
            items.push_back({k, 0, 1, 0, n * n * n});
    }
    queue.run(items, [&](const Item& item) { conclude_one(item.task); });
}

template <class T>
void by_eigh(const Queue& queue, std::span<const InverseRoot<T>> group, Index p) {
    std::vector<Index> first_value;
    Index values = 0;
    for (const auto& task : group) first_value.push_back(values), values += task.C.batch * task.C.rows;
    const auto w = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(values));
    std::vector<Eigenbasis<T>> bases;
    for (std::size_t t = 0; t < group.size(); ++t) {
        const auto& task = group[t];
        bases.push_back({task.C, {}, w.get() + first_value[t], task.X, {task.reports.status, task.reports.residual}});
    }
    eigenbasis<T>(queue, bases);
    const std::vector<Index> first = first_matrices(group);
    std::vector<char> again(static_cast<std::size_t>(first.back()));
    for_each_matrix(queue, group, 1, [&](Index t, Index b) {
        const auto& task = group[t];
        const Status status = task.reports.status[b];
        const T* const own = bases[t].values + b * task.C.rows;
        const RootReport report =
            status != Status::ok ? failed(status) : root_from_basis(queue, task, b, p, own, task.X[b]);
        again[first[t] + b] = sizeof(T) == 4 && is_worth_float64(report);
        conclude(task, b, report);
    });
    if constexpr (sizeof(T) == 4)
        if (const auto failures = marked(group, first, again); !failures.empty())
            again_by_eigh(queue, group, failures, p);
}

/// One matrix in the precision of W.
template <class T, class W>
RootReport root_by_newton(const Queue& queue, const InverseRoot<T>& task, Index b, Index p) {
    const Index n = task.C.rows;
    const double damping = task.damping[b];
    const Matrix<const T> C = task.C[b];
    double largest = damping, finite = 0;
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j <= i; ++j) {
            const double c = static_cast<double>(C(i, j));
            largest = std::max(largest, std::abs(c)), finite += c * 0;
        }
    if (finite != 0) return failed(Status::not_finite);
    if (!is_valid(damping)) return failed(Status::invalid_parameter);
    if (n == 0) return {Status::ok, 0};
    if (largest == 0) return failed(Status::not_positive_definite);
    const double scale = std::min(1 / largest, 1e300);
    CoupledNewton<W> newton(queue, n, p);
    copy_symmetric(queue.micro(), C, [&](double x) { return x * scale; }, newton.A());
    for (Index i = 0; i < n; ++i)
        newton.A()[i * n + i] = static_cast<W>((static_cast<double>(C(i, i)) + damping) * scale);
    if (!newton.iterate())
        return failed(newton.has_cholesky_factor() ? Status::no_convergence : Status::not_positive_definite);
    const auto back = std::pow(scale, 1 / static_cast<double>(p));
    for (Index e = 0; e < n * n; ++e) newton.X()[e] = static_cast<W>(static_cast<double>(newton.X()[e]) * back);
    return judge<T, W>(queue.micro(), task, b, p, newton.X());
}

template <class T>
void by_newton(const Queue& queue, std::span<const InverseRoot<T>> group, Index p) {
    for_each_matrix(queue, group, 100, [&](Index t, Index b) {
        RootReport report = root_by_newton<T, T>(queue, group[t], b, p);
        if (sizeof(T) == 4 && is_worth_float64(report)) report = root_by_newton<T, double>(queue, group[t], b, p);
        conclude(group[t], b, report);
    });
}

}  // namespace

template <class T>
void inverse_root(const Queue& queue, std::span<const InverseRoot<T>> group, Index p, RootMethod method) {
    blas::stay_on_one_thread();
    method == RootMethod::eigh ? by_eigh(queue, group, p) : by_newton(queue, group, p);
}

template void inverse_root(const Queue&, std::span<const InverseRoot<float>>, Index, RootMethod);
template void inverse_root(const Queue&, std::span<const InverseRoot<double>>, Index, RootMethod);

}  // namespace curvblas::cpu
