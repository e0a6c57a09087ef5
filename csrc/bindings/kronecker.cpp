#include "bindings/kronecker.h"

#include <algorithm>

#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/memory.h"
#include "bindings/output.h"
#include "bindings/results.h"
#include "bindings/rows.h"
#include "kernels/all_finite.h"
#include "kernels/damped_inverse.h"
#include "kernels/factored_damping.h"
#include "kernels/newton_inverse.h"
#include "kernels/update_factors.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

void require_weights(const Array& R, const Array& w) {
    bool same = w.ndim == R.ndim - 1;
    for (int k = 0; same && k < w.ndim; ++k) same = w.shape[k] == R.shape[k];
    if (!same)
        wrong_value(w.argument.text(), " must be shaped like ", R.argument.short_text(), " ", R.shape_text(),
                    " without the last axis, got ", w.shape_text());
}

/// An array of any shape as tasks: in rows of 4,096 elements where it is contiguous, else along its last axes.
void append_flat_rows(const Array& a, std::vector<Rows>& tasks) {
    constexpr Index row = 4096;
    if (a.size() == 0) return;
    Rows rows{a.data, a.dtype, 1, 1, 1, 0, 0, 1, 0};
    Index stride;
    if (single_stride(a, 0, stride) && (stride == 1 || a.size() == 1)) {
        const Index whole = a.size() / row, rest = a.size() % row;
        rows.N = whole, rows.d = row, rows.n_stride = row;
        if (whole) tasks.push_back(rows);
        rows.data = static_cast<std::byte*>(a.data) + whole * row * item_size(a.dtype);
        rows.N = 1, rows.d = rest;
        if (rest) tasks.push_back(rows);
        return;
    }
    const int inner = std::min(a.ndim, 2);
    rows.d = a.shape[a.ndim - 1], rows.d_stride = a.strides[a.ndim - 1];
    if (inner == 2) rows.N = a.shape[a.ndim - 2], rows.n_stride = a.strides[a.ndim - 2];
    for (Index b = 0; b < batch_of(a, inner); ++b) {
        rows.data = static_cast<std::byte*>(a.data) + offset_of(a, inner, b) * item_size(a.dtype);
        tasks.push_back(rows);
    }
}

/// One array of dampings for each of the factors, which `names` call by name.
py::tuple split_damping(const char* function, bool spare_scalars, const py::tuple& factors,
                        const std::vector<const char*>& names, const py::object& damping) {
    Call call(function);
    std::vector<Group> groups;
    for (std::size_t i = 0; i < factors.size(); ++i) {
        groups.push_back(i == 0 ? call.group(factors[0], names[0])
                                : call.group_like(groups[0], names[0], factors[i], names[i]));
        require_square(groups[i]);
    }
    const Group& first = groups[0];
    const DType dtype = require_real(first);
    for (const Group& group : groups) {
        require_dtype(group, dtype, names[0]);
        for (std::size_t k = 0; k < first.arrays.size(); ++k)
            require_same_batch(first.arrays[k], 2, group.arrays[k], 2);
    }
    const Numbers given = call.parameter(damping, "damping", first, 2, non_negative);
    const Queue queue = call.queue();
    std::vector<PerMatrix<double>> dampings;
    for (std::size_t i = 0; i < groups.size(); ++i) dampings.push_back(new_per_matrix<double>(queue, first, 2));
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::FactoredDamping<T>> tasks;
        // Matrix by matrix where one of the stacks cannot be walked with one stride.
        const auto other = [&](std::size_t i) { return i < groups.size() ? &groups[i] : &first; };
        for_each_stack(first, {other(1), other(2), other(3), other(4), other(5), other(6), other(7)},
                       [&](std::size_t k, Index count, Index from, Index matrix) {
                           kernels::FactoredDamping<T> task{};
                           task.count = static_cast<int>(groups.size()), task.spare_scalars = spare_scalars;
                           task.damping = &given[matrix];
                           for (std::size_t i = 0; i < groups.size(); ++i) {
                               task.factors[i] = stack<const T>(groups[i].arrays[k], count, from);
                               task.dampings[i] = dampings[i].data + matrix;
                           }
                           tasks.push_back(task);
                       });
        const py::gil_scoped_release released;
        kernels::factored_damping<T>(queue, tasks);
    });
    py::tuple results(dampings.size());
    for (std::size_t i = 0; i < dampings.size(); ++i) results[i] = dampings[i].object;
    return results;
}

/// ValueError if an inverse is written to where an earlier one is read from, unless that is its own.
void require_apart_unless_same(const Group& X, const Group& X_0) {
    if (X_0.arrays.empty()) return;
    Memory memory;
    memory.writes(X);
    Group others{X_0.ragged, {}};
    for (std::size_t k = 0; k < X_0.arrays.size(); ++k) {
        const Array &x = X.arrays[k], &start = X_0.arrays[k];
        bool same = x.data == start.data;
        for (int i = 0; i < x.ndim; ++i) same = same && (x.shape[i] < 2 || x.strides[i] == start.strides[i]);
        if (!same) others.arrays.push_back(start);
    }
    memory.reads(others);
    memory.require_disjoint();
}

/// Tasks for the matrices that are without an inverse after Newton-Schulz steps.
template <class T>
std::vector<kernels::DampedInverse<T>> left_undone(std::span<const kernels::NewtonInverse<T>> steps,
                                                   const std::vector<Status>& status) {
    std::vector<kernels::DampedInverse<T>> tasks;
    std::size_t matrix = 0;
    const auto one = [](auto stack, Index b) {
        stack.data += b * stack.batch_stride, stack.batch = 1;
        return stack;
    };
    for (const auto& task : steps)
        for (Index b = 0; b < task.C.batch; ++b)
            if (status[matrix++] == Status::no_convergence)
                tasks.push_back({one(task.C, b), task.damping + b, one(task.X, b), task.reports.from(b)});
    return tasks;
}

}  // namespace

py::object update_factors(const py::object& factors, const py::object& rows, const py::object& decay,
                          const py::object& scale, const py::object& weights, const py::object& bias,
                          const py::object& copy_or_not) {
    Call call("update_factors");
    const bool copy = call.flag(copy_or_not, "copy");
    const Group C = call.group(factors, "factors");
    require_square(C);
    const DType dtype = require_real(C);
    const Group R = call.group_like(C, "factors", rows, "rows");
    const Group w = weights.is_none() ? Group{} : call.group_like(C, "factors", weights, "weights");
    const std::vector<bool> biases = call.flags(bias, "bias", C);
    for (std::size_t k = 0; k < C.arrays.size(); ++k) {
        require_rows(C.arrays[k], R.arrays[k], biases[k]);
        if (!w.arrays.empty()) require_weights(R.arrays[k], w.arrays[k]);
    }
    const Numbers decays = call.parameter(decay, "decay", C, 2, fraction);
    const Numbers scales = scale.is_none() ? nullptr : call.parameter(scale, "scale", C, 2, finite);
    if (!copy) {
        require_writable(C, ": copy=True returns new factors instead");
        Memory memory;
        memory.writes(C), memory.reads(R), memory.reads(w);
        memory.require_disjoint();
    }
    const NewArrays updated = copy ? new_arrays_like(call.queue(), C, dtype) : NewArrays{factors, C};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::UpdateFactors<T>> tasks;
        for_each_stack(C, {&R, &w}, [&](std::size_t k, Index count, Index first, Index matrix) {
            const int leading = C.arrays[k].ndim - 2;
            tasks.push_back({stack<const T>(C.arrays[k], count, first), rows_view(R.arrays[k], leading, false, first),
                             w.arrays.empty() ? Rows{} : rows_view(w.arrays[k], leading, true, first), biases[k],
                             &decays[matrix], scales ? &scales[matrix] : nullptr,
                             stack<T>(updated.group.arrays[k], count, first)});
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::update_factors<T>(queue, tasks);
    });
    return updated.object;
}

py::tuple factored_damping(const py::object& A, const py::object& G, const py::object& damping) {
    return split_damping("factored_damping", false, py::make_tuple(A, G), {"A", "G"}, damping);
}

py::tuple factored_dampings(const py::object& factors, const py::object& damping) {
    constexpr const char* function = "factored_dampings";
    if (!py::isinstance<py::tuple>(factors) && !py::isinstance<py::list>(factors))
        wrong_type(function, ": factors must be a tuple or list of arguments, one for each factor of the product, got ",
                   Py_TYPE(factors.ptr())->tp_name);
    const py::tuple each(factors);
    if (each.empty() || each.size() > kernels::most_factors)
        wrong_value(function, ": factors must hold 1 to ", kernels::most_factors, " factors of each product, got ",
                    each.size());
    static_assert(kernels::most_factors == 8);
    return split_damping(function, true, each,
                         {"factors[0]", "factors[1]", "factors[2]", "factors[3]", "factors[4]", "factors[5]",
                          "factors[6]", "factors[7]"},
                         damping);
}

py::tuple damped_inverse(const py::object& factors, const py::object& damping, const py::object& warm_start,
                         const py::object& on_failure, const py::object& out) {
    Call call("damped_inverse");
    const Group C = call.group(factors, "factors");
    require_square(C);
    const DType dtype = require_real(C);
    const Group X_0 = warm_start.is_none() ? Group{} : call.group_like(C, "factors", warm_start, "warm_start");
    require_dtype(X_0, dtype, "factors");
    if (!X_0.arrays.empty()) require_shapes_of(C, X_0);
    const Numbers dampings = call.parameter(damping, "damping", C, 2, non_negative);
    const OnFailure policy = on_failure_from("damped_inverse", on_failure, !out.is_none());
    const NewArrays X = output_like(call, C, "factors", out, {&C});
    require_apart_unless_same(X.group, X_0);
    const Queue queue = call.queue();
    const Index total = matrices_of(C, 2);
    const auto status = new_per_matrix<Status>(queue, C, 2);
    const auto jitter = new_per_matrix<double>(queue, C, 2), residual = new_per_matrix<double>(queue, C, 2),
               log_det = new_per_matrix<double>(queue, C, 2);
    const auto minor = temporary<Index>(queue, total);
    const kernels::InverseReports reports{status.data, jitter.data, residual.data, log_det.data, minor.get()};
    Failure failure;
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::DampedInverse<T>> tasks;
        std::vector<kernels::NewtonInverse<T>> steps;
        for_each_stack(C, {&X_0, &X.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
            const auto from = stack<const T>(C.arrays[k], count, first);
            const auto to = stack<T>(X.group.arrays[k], count, first);
            if (X_0.arrays.empty())
                tasks.push_back({from, &dampings[matrix], to, reports.from(matrix)});
            else
                steps.push_back(
                    {from, &dampings[matrix], stack<const T>(X_0.arrays[k], count, first), to, reports.from(matrix)});
        });
        const py::gil_scoped_release released;
        if (!steps.empty()) {
            kernels::newton_inverse<T>(queue, steps);
            tasks = left_undone<T>(steps, host_copy(queue, status.data, total));
        }
        kernels::damped_inverse<T>(queue, tasks, policy);
        if (policy == OnFailure::raise)
            failure = first_failure(host_copy(queue, status.data, total), host_copy(queue, minor.get(), total));
    });
    return py::make_tuple(X.object, status.object, jitter.object, residual.object, log_det.object, failure.index,
                          failure.minor, static_cast<int>(failure.status));
}

bool all_finite(const py::object& arrays) {
    Call call("all_finite");
    const Group group = call.group(arrays, "arrays");
    std::vector<Rows> tasks;
    for (const Array& a : group.arrays) append_flat_rows(a, tasks);
    const Queue queue = call.queue();
    const py::gil_scoped_release released;
    return kernels::all_finite(queue, tasks);
}

}  // namespace curvblas
