#include "bindings/simple_natural_gradient.h"

#include "algorithms/simple_natural_gradient.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/output.h"

namespace curvblas {

namespace kernels = CURVBLAS_BACKEND;

py::object simple_natural_gradient(const py::object& rows, const py::object& alpha, const py::object& out) {
    Call call("simple_natural_gradient");
    const Group X = call.group(rows, "rows");
    for (const Array& a : X.arrays)
        if (X.ragged ? a.ndim != 2 : a.ndim < 2)
            wrong_value(a.argument.text(), " must have shape (", X.ragged ? "" : "..., ", "N, dim), got ",
                        a.shape_text());
    const DType dtype = require_real(X);
    const double smoothing = call.number(alpha, "alpha", positive);
    const NewArrays X_hat = output_like(call, X, "rows", out, {&X});
    const Queue queue = call.queue();
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::SimpleNaturalGradient<T>> tasks;
        for_each_stack(X, {&X_hat.group}, [&](std::size_t k, Index count, Index first, Index) {
            tasks.push_back({stack<const T>(X.arrays[k], count, first), stack<T>(X_hat.group.arrays[k], count, first)});
        });
        const py::gil_scoped_release released;
        kernels::simple_natural_gradient<T>(queue, tasks, smoothing);
    });
    return X_hat.object;
}

}  // namespace curvblas
