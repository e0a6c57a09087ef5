#include "bindings/tonga.h"

#include "algorithms/tonga.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// The gradients as rows: one of shape (n,), or N of them.
Array require_gradients(const Group& gradients, Index n) {
    Array a = gradients.arrays[0];
    require_real(gradients);
    if (a.ndim < 1 || a.ndim > 2 || a.shape[a.ndim - 1] != n || (a.ndim == 2 && a.shape[0] == 0))
        wrong_value(a.argument.text(), " must have shape (", n, ",) or (N, ", n, ") with N > 0, got ", a.shape_text());
    if (a.ndim == 2) return a;
    a.shape[1] = n, a.strides[1] = a.strides[0];
    a.shape[0] = 1, a.strides[0] = n, a.ndim = 2;
    return a;
}

}  // namespace

py::tuple tonga_memory(const py::object& gradients, Index slots, const py::array_t<Index>& begins) {
    Call call("TONGA.step");
    const Group G = call.one_array(gradients, "gradients");
    const DType dtype = require_real(G);
    const Index blocks = begins.size() - 1;
    require_gradients(G, begins.at(blocks));
    const Queue queue = call.queue();
    return py::make_tuple(new_array(queue, {slots, begins.at(blocks)}, dtype).object,
                          new_array(queue, {blocks, slots, slots}, DType::float64).object,
                          new_array(queue, {blocks}, DType::float64).object);
}

py::tuple tonga_step(const py::object& basis, const py::object& squares, const py::object& damping,
                     const py::object& gradients, const py::array_t<Index>& begins, Index rank, double decay,
                     double initial_damping, double min_damping, double factor, Index count, bool is_new) {
    Call call("TONGA.step");
    const Group G = call.one_array(gradients, "gradients"), X = call.one_array(basis, "basis");
    const Group K = call.one_array(squares, "squares"), dampings = call.one_array(damping, "damping");
    require_state(K, DType::float64), require_state(dampings, DType::float64);
    require_writable(X, "");
    const Array &x = X.arrays[0], &k = K.arrays[0];
    const Array g = require_gradients(G, x.shape[1]);
    require_dtype(G, x.dtype, "the first gradients of this object");
    const Queue queue = call.queue();
    const NewArrays v = new_array(queue, {x.shape[1]}, x.dtype);
    const auto status = new_per_matrix<Status>(queue, K, 2);
    with_real(x.dtype, [&](auto real) {
        using T = decltype(real);
        const kernels::TongaMemory<T> memory{rank,
                                             x.shape[0] - rank,
                                             decay,
                                             stack<T>(x, 1, 0)[0],
                                             stack<double>(k, k.shape[0], 0),
                                             dampings.arrays[0].as<double>(),
                                             count,
                                             is_new,
                                             initial_damping};
        const kernels::TongaStep<T> step{memory,     begins.data(), stack<const T>(g, 1, 0)[0],
                                         factor,     min_damping,   v.group.arrays[0].template as<T>(),
                                         status.data};
        const py::gil_scoped_release released;
        count = kernels::tonga_step<T>(queue, step);
    });
    return py::make_tuple(v.object, status.object, count);
}

}  // namespace curvblas
