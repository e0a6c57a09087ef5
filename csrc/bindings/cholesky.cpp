#include "bindings/cholesky.h"

#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/output.h"
#include "kernels/damped_cholesky.h"
#include "kernels/triangular_solve.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

py::object solve(Call& call, const py::object& factors, const py::object& rhs, kernels::TriangularSystem system,
                 const py::object& out) {
    const Group L = call.group(factors, "factors");
    require_square(L);
    const DType dtype = require_real(L);
    const Group B = call.group_like(L, "factors", rhs, "rhs");
    require_dtype(B, dtype, "factors");
    for (std::size_t k = 0; k < L.arrays.size(); ++k) {
        const Array &l = L.arrays[k], &b = B.arrays[k];
        const Index n = l.shape[l.ndim - 1];
        if (b.ndim != l.ndim || b.shape[b.ndim - 2] != n)
            wrong_value(b.argument.text(), " must have shape (", L.ragged ? "" : "..., ", "n, k) with n = ", n, " for ",
                        l.argument.short_text(), " of shape ", l.shape_text(), ", got ", b.shape_text());
        require_same_batch(l, 2, b, 2);
    }
    const NewArrays X = output_like(call, B, "rhs", out, {&L, &B});
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::TriangularSolve<T>> tasks;
        for_each_stack(B, {&L, &X.group}, [&](std::size_t k, Index count, Index first, Index) {
            tasks.push_back({stack<const T>(L.arrays[k], count, first), stack<const T>(B.arrays[k], count, first),
                             stack<T>(X.group.arrays[k], count, first)});
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::triangular_solve<T>(queue, tasks, system);
    });
    return X.object;
}

}  // namespace

py::tuple damped_cholesky(const py::object& factors, const py::object& damping, const py::object& on_failure,
                          const py::object& out) {
    Call call("damped_cholesky");
    const Group C = call.group(factors, "factors");
    require_square(C);
    const DType dtype = require_real(C);
    const Numbers dampings = call.parameter(damping, "damping", C, 2, non_negative);
    const OnFailure policy = on_failure_from("damped_cholesky", on_failure, !out.is_none());
    const NewArrays L = output_like(call, C, "factors", out, {&C});
    const Queue queue = call.queue();
    const Index total = matrices_of(C, 2);
    const auto status = new_per_matrix<Status>(queue, C, 2);
    const auto jitter = new_per_matrix<double>(queue, C, 2), log_det = new_per_matrix<double>(queue, C, 2);
    const auto minor = temporary<Index>(queue, total);
    const kernels::CholeskyReports reports{status.data, jitter.data, log_det.data, minor.get()};
    Failure failure;
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::DampedCholesky<T>> tasks;
        for_each_stack(C, {&L.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
            tasks.push_back({stack<const T>(C.arrays[k], count, first), &dampings[matrix],
                             stack<T>(L.group.arrays[k], count, first), reports.from(matrix)});
        });
        const py::gil_scoped_release released;
        kernels::damped_cholesky<T>(queue, tasks, policy);
        if (policy == OnFailure::raise)
            failure = first_failure(host_copy(queue, status.data, total), host_copy(queue, minor.get(), total));
    });
    return py::make_tuple(L.object, status.object, jitter.object, log_det.object, failure.index, failure.minor,
                          static_cast<int>(failure.status));
}

py::object triangular_solve(const py::object& factors, const py::object& rhs, const py::object& transpose,
                            const py::object& out) {
    Call call("triangular_solve");
    const auto system =
        call.flag(transpose, "transpose") ? kernels::TriangularSystem::transposed : kernels::TriangularSystem::lower;
    return solve(call, factors, rhs, system, out);
}

py::object cholesky_solve(const py::object& factors, const py::object& rhs, const py::object& out) {
    Call call("cholesky_solve");
    return solve(call, factors, rhs, kernels::TriangularSystem::cholesky, out);
}

}  // namespace curvblas
