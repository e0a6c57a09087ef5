#include "bindings/lsr1.h"

#include "algorithms/lsr1.h"
#include "bindings/backend.h"
#include "bindings/pairs.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// Steps of pairs, or of Psi and M_inv.
py::tuple step_of(Call& call, const Models& models, const py::object& grad, const py::object& radius,
                  const py::object& out, const Group& M_inv = {false, {}}) {
    const Group g = models.vectors(call, grad, "grad");
    const Numbers radii = call.parameter(radius, "radius", models.S, 2, positive);
    const Queue queue = call.queue();
    const NewArrays step = new_vectors(call, models, g, "grad", out, M_inv);
    const auto multiplier = new_per_matrix<double>(queue, models.S, 2);
    const auto reduction = new_per_matrix<double>(queue, models.S, 2);
    const auto kind = new_per_matrix<Status>(queue, models.S, 2), status = new_per_matrix<Status>(queue, models.S, 2);
    with_real(models.dtype(), [&](auto real) {
        using T = decltype(real);
        const kernels::Lsr1Reports reports{multiplier.data, reduction.data, reinterpret_cast<std::int8_t*>(kind.data),
                                           status.data};
        const py::gil_scoped_release released;
        for_each_stack(
            models.S, {&models.Y, &models.mask, &M_inv, &g, &step.group},
            [&](std::size_t, Index count, Index first, Index matrix) {
                const kernels::Lsr1Step<T> some{models.some<T>(count, first, matrix),
                                                stack<const T>(g.arrays[0], count, first), &radii[matrix],
                                                stack<T>(step.group.arrays[0], count, first), reports.from(matrix)};
                if (M_inv.arrays.empty()) return kernels::lsr1_step<T>(queue, some);
                const auto& own = some.models;
                kernels::compact_step<T>(queue, {own.Y, stack<const T>(M_inv.arrays[0], count, first), own.mask,
                                                 own.initial, some.g, some.radius, some.step, some.reports});
            });
    });
    return py::make_tuple(step.object, multiplier.object, kind.object, reduction.object, status.object);
}

/// M_inv, one a model.
Group inverse_of(Call& call, const Models& models, const py::object& given) {
    const Group M_inv = call.one_array(given, "M_inv");
    const Array &Psi = models.S.arrays[0], &a = M_inv.arrays[0];
    const Index m = Psi.shape[Psi.ndim - 2];
    if (a.ndim != Psi.ndim || a.shape[a.ndim - 1] != m || a.shape[a.ndim - 2] != m)
        wrong_value(a.argument.text(), " must have shape (..., ", m, ", ", m, ") for Psi of shape ", Psi.shape_text(),
                    ", got ", a.shape_text());
    require_same_batch(Psi, 2, a, 2);
    require_dtype(M_inv, models.dtype(), "Psi");
    return M_inv;
}

py::tuple product_of(Call& call, const Models& models, const py::object& vectors) {
    const Group x = models.vectors(call, vectors, "v");
    const Queue queue = call.queue();
    const NewArrays P = new_vectors(call, models, x, "v");
    const auto status = new_per_matrix<Status>(queue, models.S, 2);
    with_real(models.dtype(), [&](auto real) {
        using T = decltype(real);
        const py::gil_scoped_release released;
        for_each_stack(models.S, {&models.Y, &models.mask, &x, &P.group},
                       [&](std::size_t, Index count, Index first, Index matrix) {
                           kernels::lsr1_matvec<T>(
                               queue, {models.some<T>(count, first, matrix), stack<const T>(x.arrays[0], count, first),
                                       stack<T>(P.group.arrays[0], count, first), status.data + matrix});
                       });
    });
    return py::make_tuple(P.object, status.object);
}

}  // namespace

py::tuple lsr1_step(const py::object& S, const py::object& Y, const py::object& grad, const py::object& radius,
                    const py::object& gamma, const py::object& mask, const py::object& out) {
    Call call("lsr1_step");
    const Models models(call, S, Y, gamma, "gamma", finite, mask);
    return step_of(call, models, grad, radius, out);
}

py::tuple trust_region_step(const py::object& Psi, const py::object& M_inv, const py::object& grad,
                            const py::object& radius, const py::object& gamma, const py::object& mask,
                            const py::object& out) {
    Call call("trust_region_step");
    const Models models(call, Psi, gamma, mask);
    return step_of(call, models, grad, radius, out, inverse_of(call, models, M_inv));
}

py::tuple lsr1_matvec(const py::object& S, const py::object& Y, const py::object& gamma, const py::object& v,
                      const py::object& mask) {
    Call call("lsr1_matvec");
    const Models models(call, S, Y, gamma, "gamma", finite, mask);
    return product_of(call, models, v);
}

py::tuple lsr1_memory_step(const py::tuple& memory, const py::object& gamma, const py::object& grad,
                           const py::object& radius, const py::object& out) {
    Call call("LSR1.step");
    return step_of(call, Models(call, memory, gamma, "gamma", finite), grad, radius, out);
}

py::tuple lsr1_memory_matvec(const py::tuple& memory, const py::object& gamma, const py::object& v) {
    Call call("LSR1.matvec");
    return product_of(call, Models(call, memory, gamma, "gamma", finite), v);
}

}  // namespace curvblas
