#include "bindings/sample_space.h"

#include "algorithms/sample_space_solve.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// The shape as the caller knows it: `parts` real numbers are one element.
std::string shape_text(Array a, Index parts) {
    if (a.ndim > 0) a.shape[a.ndim - 1] /= parts;
    return a.shape_text();
}

/// ValueError unless each array is one vector for each matrix of J, as long as its axis `axis` from the end.
void require_vectors(const Group& J, const Group& vectors, int axis, Index parts) {
    for (std::size_t k = 0; k < J.arrays.size(); ++k) {
        const Array &j = J.arrays[k], &v = vectors.arrays[k];
        const Index length = axis == 2 ? j.shape[j.ndim - 2] : j.shape[j.ndim - 1] / parts;
        if (v.ndim != j.ndim - 1 || v.shape[v.ndim - 1] != length * parts)
            wrong_value(v.argument.text(), " must have shape (", J.ragged ? "" : "..., ", length, J.ragged ? ",)" : ")",
                        " for ", j.argument.short_text(), " of shape ", shape_text(j, parts), ", got ",
                        shape_text(v, parts));
        require_same_batch(j, 2, v, 1);
    }
}

/// The shapes of solutions: (..., P).
Group solutions_of(Group J) {
    for (Array& a : J.arrays) {
        a.shape[a.ndim - 2] = a.shape[a.ndim - 1];
        a = contiguous_like((--a.ndim, a), a.dtype);
    }
    return J;
}

}  // namespace

py::tuple sample_space_solve(const py::object& jacobian, const py::object& rhs, const py::object& damping,
                             const py::object& previous, const py::object& momentum, bool is_complex) {
    Call call("sample_space_solve");
    const Index parts = is_complex ? 2 : 1;
    const Group J = call.group(jacobian, "jacobian");
    for (const Array& a : J.arrays)
        if (J.ragged ? a.ndim != 2 : a.ndim < 2)
            wrong_value(a.argument.text(), " must have shape (", J.ragged ? "" : "..., ", "N, P), got ",
                        shape_text(a, parts));
    const DType dtype = require_real(J);
    const Group e = call.group_like(J, "jacobian", rhs, "rhs");
    require_dtype(e, dtype, "jacobian");
    require_vectors(J, e, 2, parts);
    const bool has_previous = !previous.is_none();
    const Group before = has_previous ? call.group_like(J, "jacobian", previous, "previous") : Group{J.ragged, {}};
    if (has_previous) require_dtype(before, dtype, "jacobian"), require_vectors(J, before, 1, parts);
    const double mu = call.number(momentum, "momentum", below_one);
    const bool uses_previous = has_previous && mu != 0;  // 0 times NaN is none of the caller's business
    const Numbers dampings = call.parameter(damping, "damping", J, 2, non_negative);
    const Queue queue = call.queue();
    const NewArrays x = new_arrays_like(queue, solutions_of(J), dtype);
    const auto status = new_per_matrix<Status>(queue, J, 2);
    const Group e_rows = as_rows(e), before_rows = as_rows(before), x_rows = as_rows(x.group);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::SampleSpaceSolve<T>> tasks;
        for_each_stack(J, {&e_rows, &before_rows, &x_rows}, [&](std::size_t k, Index count, Index first, Index matrix) {
            tasks.push_back({stack<const T>(J.arrays[k], count, first), stack<const T>(e_rows.arrays[k], count, first),
                             uses_previous ? stack<const T>(before_rows.arrays[k], count, first) : Stack<const T>{},
                             &dampings[matrix], stack<T>(x_rows.arrays[k], count, first), status.data + matrix,
                             is_complex});
        });
        const py::gil_scoped_release released;
        kernels::sample_space_solve<T>(queue, tasks, mu);
    });
    return py::make_tuple(x.object, status.object);
}

}  // namespace curvblas
