#include "bindings/lbfgs.h"

#include "algorithms/lbfgs.h"
#include "bindings/backend.h"
#include "bindings/pairs.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

py::object direction_of(Call& call, const Models& models, const py::object& grad, const py::object& out) {
    const Group g = models.vectors(call, grad, "grad");
    const NewArrays direction = new_vectors(call, models, g, "grad", out);
    const Queue queue = call.queue();
    with_real(models.dtype(), [&](auto real) {
        using T = decltype(real);
        const py::gil_scoped_release released;
        for_each_stack(models.S, {&models.Y, &models.mask, &g, &direction.group},
                       [&](std::size_t, Index count, Index first, Index matrix) {
                           kernels::lbfgs_direction<T>(
                               queue, {models.some<T>(count, first, matrix), stack<const T>(g.arrays[0], count, first),
                                       stack<T>(direction.group.arrays[0], count, first)});
                       });
    });
    return direction.object;
}

}  // namespace

py::object lbfgs_direction(const py::object& S, const py::object& Y, const py::object& grad,
                           const py::object& initial_inverse, const py::object& mask, const py::object& out) {
    Call call("lbfgs_direction");
    return direction_of(call, Models(call, S, Y, initial_inverse, "initial_inverse", positive, mask), grad, out);
}

py::object lbfgs_memory_direction(const py::tuple& memory, const py::object& grad, const py::object& out) {
    Call call("LBFGS.direction");
    return direction_of(call, Models(call, memory, py::none(), "initial_inverse", positive), grad, out);
}

}  // namespace curvblas
