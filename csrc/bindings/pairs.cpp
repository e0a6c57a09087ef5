#include "bindings/pairs.h"

#include "bindings/backend.h"
#include "bindings/output.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// Numbers that a memory keeps: contiguous, writable and float64.
double* kept_numbers(Call& call, const py::object& given, const char* name, Index size) {
    const Group numbers = call.one_array(given, name);
    require_state(numbers, DType::float64);
    const Array& a = numbers.arrays[0];
    if (a.size() != size) wrong_value(a.argument.text(), " of the state has shape ", a.shape_text());
    return a.as<double>();
}

void require_rows(const Array& a) {
    if (a.ndim < 2 || a.shape[a.ndim - 1] == 0)
        wrong_value(a.argument.text(), " must have shape (..., m, n) with n > 0, got ", a.shape_text());
}

/// Puts pairs into a memory by queue(update, first).
template <class Run>
py::tuple update_memory(Call& call, const Models& models, const py::object& s, const py::object& y, const Run& run) {
    const Group step = models.vectors(call, s, "s"), change = models.vectors(call, y, "y");
    const Queue queue = call.queue();
    const auto accepted = new_per_matrix<Status>(queue, models.S, 2),
               status = new_per_matrix<Status>(queue, models.S, 2);
    with_real(models.dtype(), [&](auto real) {
        using T = decltype(real);
        const py::gil_scoped_release released;
        for_each_stack(models.S, {&models.Y, &step, &change}, [&](std::size_t, Index count, Index first, Index matrix) {
            const kernels::PairModels<T> some = models.some<T>(count, first, matrix);
            const kernels::PairMemory<T> memory{stack<T>(models.S.arrays[0], count, first),
                                                stack<T>(models.Y.arrays[0], count, first), const_cast<double*>(some.K),
                                                const_cast<double*>(some.ring)};
            run(queue,
                kernels::PairUpdate<T>{memory, stack<const T>(step.arrays[0], count, first),
                                       stack<const T>(change.arrays[0], count, first), accepted.data + matrix,
                                       status.data + matrix},
                some.initial);
        });
    });
    return py::make_tuple(accepted.object, status.object);
}

}  // namespace

Models::Models(Call& call, const py::object& pairs, const py::object& differences, const py::object& given_initial,
               const char* name, const Range& range, const py::object& given_mask)
    : S(call.one_array(pairs, "S")), Y(call.one_array(differences, "Y")), mask{false, {}} {
    require_rows(S.arrays[0]);
    require_dtype(Y, require_real(S), "S");
    require_shapes_of(S, Y);
    if (!given_mask.is_none()) mask = per_pair(call, given_mask, "mask");
    if (!given_initial.is_none()) initial = call.parameter(given_initial, name, S, 2, range);
}

Models::Models(Call& call, const py::tuple& memory, const py::object& given_initial, const char* name,
               const Range& range)
    : Models(call, memory[0], memory[1], given_initial, name, range, py::none()) {
    const Index m = S.arrays[0].shape[S.arrays[0].ndim - 2], batch = batch_of(S.arrays[0], 2);
    for (const Group* rows : {&S, &Y}) curvblas::require_state(*rows, dtype());
    products = kept_numbers(call, memory[2], "products", batch * 4 * m * m);
    ring = kept_numbers(call, memory[3], "ring", batch * 2);
}

Models::Models(Call& call, const py::object& Psi, const py::object& gamma, const py::object& given_mask)
    : S(call.one_array(Psi, "Psi")), Y(S), mask{false, {}} {
    require_rows(S.arrays[0]);
    require_real(S);
    if (!given_mask.is_none()) mask = per_pair(call, given_mask, "mask");
    initial = call.parameter(gamma, "gamma", S, 2, finite);
}

Group Models::vectors(Call& call, const py::object& given, const char* name) const {
    if (!ring) return with_axis(call, given, name, 1);
    const Group vectors = call.one_array(given, name);
    const Array &s = S.arrays[0], &v = vectors.arrays[0];
    std::vector<Index> shape(s.shape, s.shape + s.ndim - 2);
    shape.push_back(s.shape[s.ndim - 1]);
    if (std::vector<Index>(v.shape, v.shape + v.ndim) != shape)
        wrong_value(v.argument.text(), " must have shape ", contiguous_of(shape, dtype()).shape_text(), ", got ",
                    v.shape_text());
    require_dtype(vectors, dtype(), "the first vectors of this object");
    return as_rows(vectors);
}

Group Models::per_pair(Call& call, const py::object& given, const char* name) const {
    return with_axis(call, given, name, 2);
}

Group Models::with_axis(Call& call, const py::object& given, const char* name, int axis) const {
    const Group vectors = call.one_array(given, name);
    const Array &s = S.arrays[0], &v = vectors.arrays[0];
    const Index length = s.shape[s.ndim - axis];
    if (v.ndim != s.ndim - 1 || v.shape[v.ndim - 1] != length)
        wrong_value(v.argument.text(), " must have shape (..., ", length, ") for ", s.argument.short_text(),
                    " of shape ", s.shape_text(), ", got ", v.shape_text());
    require_same_batch(s, 2, v, 1);
    require_dtype(vectors, s.dtype, s.argument.name);
    return as_rows(vectors);
}

NewArrays new_vectors(Call& call, const Models& models, Group rows, const char* name, const py::object& out,
                      const Group& also) {
    const Group given = rows;
    Array& a = rows.arrays[0];
    a.shape[a.ndim - 2] = a.shape[a.ndim - 1], --a.ndim;
    const Argument argument = a.argument;
    a = contiguous_like(a, models.dtype()), a.argument = argument;
    NewArrays made = output_like(call, rows, name, out, {&given, &models.S, &models.Y, &models.mask, &also});
    made.group = as_rows(made.group);
    return made;
}

py::tuple pair_memory(const std::string& function, const std::string& name, const py::object& like,
                      const std::vector<Index>& batch, Index m, Index n) {
    Call call(function.c_str());
    const Group vectors = call.one_array(like, name.c_str());
    const DType dtype = require_real(vectors);
    const Array& v = vectors.arrays[0];
    const auto shape = [&](std::initializer_list<Index> own) {
        std::vector<Index> all = batch;
        all.insert(all.end(), own);
        return all;
    };
    if (std::vector<Index>(v.shape, v.shape + v.ndim) != shape({n}))
        wrong_value(v.argument.text(), " must have shape ", contiguous_of(shape({n}), dtype).shape_text(), ", got ",
                    v.shape_text());
    const Queue queue = call.queue();
    const NewArrays S = new_array(queue, shape({m, n}), dtype), Y = new_array(queue, shape({m, n}), dtype);
    const NewArrays K = new_array(queue, shape({2 * m, 2 * m}), DType::float64);
    const NewArrays ring = new_array(queue, shape({2}), DType::float64);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        const Index count = batch_of(S.group.arrays[0], 2);
        kernels::pair_memory_clear<T>(
            queue, {stack<T>(S.group.arrays[0], count, 0), stack<T>(Y.group.arrays[0], count, 0),
                    K.group.arrays[0].template as<double>(), ring.group.arrays[0].template as<double>()});
    });
    return py::make_tuple(S.object, Y.object, K.object, ring.object);
}

py::tuple lsr1_memory_update(const py::tuple& memory, const py::object& gamma, const py::object& s,
                             const py::object& y) {
    Call call("LSR1.update");
    const Models models(call, memory, gamma, "gamma", finite);
    return update_memory(call, models, s, y, [](const Queue& queue, const auto& update, const double* given) {
        kernels::lsr1_update(queue, update, given);
    });
}

py::tuple lbfgs_memory_update(const py::tuple& memory, bool is_damped, const py::object& s, const py::object& y) {
    Call call("LBFGS.update");
    const Models models(call, memory, py::none(), "initial_inverse", positive);
    return update_memory(call, models, s, y, [&](const Queue& queue, const auto& update, const double*) {
        kernels::lbfgs_update(queue, update, is_damped);
    });
}

}  // namespace curvblas
