#include "bindings/online_natural_gradient.h"

#include <pybind11/stl.h>

#include "algorithms/online_natural_gradient.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;
constexpr const char* function = "OnlineNaturalGradient.precondition";

/// Arrays of one or two axes, a list of them.
NewArrays new_list(const Queue& queue, const std::vector<std::vector<Index>>& shapes, DType dtype) {
    Group group{true, {}};
    for (const auto& shape : shapes) group.arrays.push_back(contiguous_of(shape, dtype));
    return new_arrays_like(queue, group, dtype);
}

/// X as (N, D) for each D, N > 0.
Group rows_of(Call& call, const py::list& X, const std::vector<Index>& columns, bool is_list) {
    Group group = call.group(X, "X");
    if (group.arrays.size() != columns.size())
        wrong_value("X must have ", columns.size(), " arrays, one for each dim, got ", group.arrays.size());
    for (std::size_t k = 0; k < columns.size(); ++k) {
        Array& x = group.arrays[k];
        if (!is_list) x.argument = {function, "X"};
        if (x.ndim != 2 || x.shape[0] == 0 || x.shape[1] != columns[k])
            wrong_value(x.argument.text(), " must have shape (N, ", columns[k], ") with N > 0, got ", x.shape_text());
    }
    return group;
}

}  // namespace

py::tuple ong_memory(const py::list& X, const std::vector<Index>& columns, const std::vector<Index>& ranks,
                     bool is_list) {
    Call call(function);
    const DType dtype = require_real(rows_of(call, X, columns, is_list));
    const Queue queue = call.queue();
    std::vector<std::vector<Index>> rows, values, rho;
    for (std::size_t k = 0; k < ranks.size(); ++k) {
        rows.push_back({2 * ranks[k], columns[k]});
        values.push_back({ranks[k]});
        rho.push_back({1});
    }
    return py::make_tuple(new_list(queue, rows, dtype).object, new_list(queue, values, DType::float64).object,
                          new_list(queue, rho, DType::float64).object);
}

py::tuple ong_step(const py::list& X, const std::vector<Index>& columns, bool is_list, const py::list& rows,
                   const py::list& values, const py::list& rho, const std::vector<double>& eta, bool updates,
                   const std::vector<Index>& passes, double alpha, double epsilon, double delta) {
    Call call(function);
    const Group given = rows_of(call, X, columns, is_list);
    const Group memory = call.group(rows, "weights");
    const DType dtype = memory.arrays.empty() ? DType::float64 : memory.arrays[0].dtype;
    require_dtype(given, dtype, "the first X of this object");
    const Group d = call.group(values, "values"), r = call.group(rho, "rho");
    require_state(memory, dtype), require_state(d, DType::float64), require_state(r, DType::float64);
    const Queue queue = call.queue();
    const NewArrays X_hat = new_arrays_like(queue, given, dtype);
    const auto status = new_per_matrix<Status>(queue, given, 2);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::OnlineNaturalGradient<T>> tasks;
        for (std::size_t k = 0; k < given.arrays.size(); ++k)
            tasks.push_back({stack<const T>(given.arrays[k], 1, 0)[0], stack<T>(memory.arrays[k], 1, 0)[0],
                             d.arrays[k].as<double>(), r.arrays[k].as<double>(), alpha, eta[k], epsilon, delta, updates,
                             passes[k], stack<T>(X_hat.group.arrays[k], 1, 0)[0], status.data + k});
        const py::gil_scoped_release released;
        kernels::online_natural_gradient<T>(queue, tasks);
    });
    return py::make_tuple(X_hat.object, status.object);
}

}  // namespace curvblas
