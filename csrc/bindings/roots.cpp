#include "bindings/roots.h"

#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"
#include "kernels/inverse_root.h"
#include "kernels/newton_schulz.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// a, b, c of a NewtonSchulzSteps.
void read_coefficients(const Call& call, const py::object& given, kernels::NewtonSchulzSteps& steps) {
    double* const to[] = {&steps.a, &steps.b, &steps.c};
    const bool is_list = PyList_Check(given.ptr()) || PyTuple_Check(given.ptr());
    if (!is_list) wrong_type("newton_schulz: coefficients must be three numbers, got ", Py_TYPE(given.ptr())->tp_name);
    const auto entries = py::reinterpret_steal<py::tuple>(PySequence_Tuple(given.ptr()));
    if (!entries) throw py::error_already_set();
    if (entries.size() != 3) wrong_value("newton_schulz: coefficients must be three numbers, got ", entries.size());
    for (std::size_t k = 0; k < 3; ++k)
        *to[k] = call.number(entries[k], sentence("coefficients[", k, "]").c_str(), finite);
}

kernels::RootMethod method_from(const py::object& value) {
    if (!py::isinstance<py::str>(value))
        wrong_type("inverse_root: method must be a str, got ", Py_TYPE(value.ptr())->tp_name);
    const auto text = value.cast<std::string>();
    if (text == "newton") return kernels::RootMethod::newton;
    if (text != "eigh") wrong_value("inverse_root: method must be \"eigh\" or \"newton\", got \"", text, "\"");
    return kernels::RootMethod::eigh;
}

}  // namespace

py::tuple inverse_root(const py::object& factors, const py::object& p, const py::object& damping,
                       const py::object& method) {
    Call call("inverse_root");
    const Group C = call.group(factors, "factors");
    require_square(C);
    const DType dtype = require_real(C);
    constexpr Integers roots{1, kernels::most_root, "an integer >= 1", "in 1 ... 1024"};
    const Index root = integer(p, roots, [] { return std::string("inverse_root: p"); });
    const Numbers dampings = call.parameter(damping, "damping", C, 2, non_negative);
    const kernels::RootMethod chosen = method_from(method);
    const Queue queue = call.queue();
    const NewArrays X = new_arrays_like(queue, C, dtype);
    const auto status = new_per_matrix<Status>(queue, C, 2);
    const auto residual = new_per_matrix<double>(queue, C, 2);
    const kernels::RootReports reports{status.data, residual.data};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::InverseRoot<T>> tasks;
        for_each_stack(C, {&X.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
            tasks.push_back({stack<const T>(C.arrays[k], count, first), &dampings[matrix],
                             stack<T>(X.group.arrays[k], count, first), reports.from(matrix)});
        });
        const py::gil_scoped_release released;
        kernels::inverse_root<T>(queue, tasks, root, chosen);
    });
    return py::make_tuple(X.object, status.object, residual.object);
}

py::object newton_schulz(const py::object& matrices, const py::object& steps, const py::object& coefficients) {
    Call call("newton_schulz");
    const Group B = call.group(matrices, "matrices");
    const DType dtype = require_real(B);
    for (const Array& b : B.arrays)
        if (B.ragged ? b.ndim != 2 : b.ndim < 2)
            wrong_value(b.argument.text(), " must have shape ", B.ragged ? "(m, n)" : "(..., m, n)", ", got ",
                        b.shape_text());
    kernels::NewtonSchulzSteps iteration{call.count(steps, "steps"), 0, 0, 0};
    read_coefficients(call, coefficients, iteration);
    const Queue queue = call.queue();
    const NewArrays X = new_arrays_like(queue, B, dtype);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::NewtonSchulz<T>> tasks;
        for_each_stack(B, {&X.group}, [&](std::size_t k, Index count, Index first, Index) {
            tasks.push_back({stack<const T>(B.arrays[k], count, first), stack<T>(X.group.arrays[k], count, first)});
        });
        const py::gil_scoped_release released;
        kernels::newton_schulz<T>(queue, tasks, iteration);
    });
    return X.object;
}

}  // namespace curvblas
