#include "bindings/eigen.h"

#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"
#include "kernels/eigenbasis.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// The shapes of the eigenvalues: the model's without the last axis.
Group values_of(const Group& model) {
    Group values = model;
    for (Array& a : values.arrays) --a.ndim;
    return values;
}

}  // namespace

py::tuple eigenbasis(const py::object& factors, const py::object& warm_start) {
    Call call("eigenbasis");
    const Group C = call.group(factors, "factors");
    require_square(C);
    const DType dtype = require_real(C);
    const Group V0 = warm_start.is_none() ? Group{} : call.group_like(C, "factors", warm_start, "warm_start");
    require_dtype(V0, dtype, "factors");
    if (!V0.arrays.empty()) require_shapes_of(C, V0);
    const Queue queue = call.queue();
    const NewArrays V = new_arrays_like(queue, C, dtype), values = new_arrays_like(queue, values_of(C), dtype);
    const auto status = new_per_matrix<Status>(queue, C, 2);
    const auto residual = new_per_matrix<double>(queue, C, 2);
    const kernels::EigenReports reports{status.data, residual.data};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::Eigenbasis<T>> tasks;
        for_each_stack(C, {&V0, &V.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
            const Index n = C.arrays[k].shape[C.arrays[k].ndim - 1];
            tasks.push_back({stack<const T>(C.arrays[k], count, first),
                             V0.arrays.empty() ? Stack<const T>{} : stack<const T>(V0.arrays[k], count, first),
                             values.group.arrays[k].template as<T>() + first * n,
                             stack<T>(V.group.arrays[k], count, first), reports.from(matrix)});
        });
        const py::gil_scoped_release released;
        kernels::eigenbasis<T>(queue, tasks);
    });
    return py::make_tuple(values.object, V.object, status.object, residual.object);
}

}  // namespace curvblas
