#include "bindings/lsr1.h"

#include "algorithms/lsr1_memory.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// Vectors, one a model, as long as axis `axis` of S from its end.
Group require_vectors(Call& call, const Group& S, const py::object& given, const char* name, int axis) {
    const Group vectors = call.one_array(given, name);
    const Array &s = S.arrays[0], &v = vectors.arrays[0];
    const Index length = s.shape[s.ndim - axis];
    if (v.ndim != s.ndim - 1 || v.shape[v.ndim - 1] != length)
        wrong_value(v.argument.text(), " must have shape (..., ", length, ") for S of shape ", s.shape_text(), ", got ",
                    v.shape_text());
    require_same_batch(s, 2, v, 1);
    require_dtype(vectors, s.dtype, "S");
    return as_rows(vectors);
}

/// Pairs, and what else is given of the models.
struct Models {
    Group S, Y, mask;
    Numbers gamma;
    double* products = nullptr;
    Index first = 0, kept;

    Models(Call& call, const py::object& pairs, const py::object& differences, const py::object& given_gamma,
           const py::object& given_mask)
        : S(call.one_array(pairs, "S")), Y(call.one_array(differences, "Y")), mask{false, {}} {
        const Array& a = S.arrays[0];
        if (a.ndim < 2 || a.shape[a.ndim - 1] == 0)
            wrong_value(a.argument.text(), " must have shape (..., m, n) with n > 0, got ", a.shape_text());
        require_dtype(Y, require_real(S), "S");
        require_shapes_of(S, Y);
        if (!given_mask.is_none()) mask = require_vectors(call, S, given_mask, "mask", 2);
        if (!given_gamma.is_none()) gamma = call.parameter(given_gamma, "gamma", S, 2, finite);
        kept = a.shape[a.ndim - 2];
    }

    DType dtype() const { return S.arrays[0].dtype; }

    template <class T>
    kernels::Lsr1Models<T> some(Index count, Index begin, Index matrix) const {
        return {stack<const T>(S.arrays[0], count, begin),
                stack<const T>(Y.arrays[0], count, begin),
                mask.arrays.empty() ? Stack<const T>{} : stack<const T>(mask.arrays[0], count, begin),
                first,
                kept,
                gamma ? &gamma[matrix] : nullptr,
                products};
    }
};

/// New vectors like `rows`: the Python object without the axis of one row, and the view with it.
NewArrays new_vectors(const Queue& queue, Group rows, DType dtype) {
    Array& a = rows.arrays[0];
    a.shape[a.ndim - 2] = a.shape[a.ndim - 1];
    a = contiguous_like((--a.ndim, a), dtype);
    NewArrays made = new_arrays_like(queue, rows, dtype);
    made.group = as_rows(made.group);
    return made;
}

py::tuple step_of(Call& call, const Models& models, const py::object& grad, const py::object& radius) {
    const Group g = require_vectors(call, models.S, grad, "grad", 1);
    const Numbers radii = call.parameter(radius, "radius", models.S, 2, positive);
    const Queue queue = call.queue();
    const NewArrays step = new_vectors(queue, g, models.dtype());
    const auto multiplier = new_per_matrix<double>(queue, models.S, 2);
    const auto reduction = new_per_matrix<double>(queue, models.S, 2);
    const auto kind = new_per_matrix<Status>(queue, models.S, 2), status = new_per_matrix<Status>(queue, models.S, 2);
    with_real(models.dtype(), [&](auto real) {
        using T = decltype(real);
        const kernels::Lsr1Reports reports{multiplier.data, reduction.data, reinterpret_cast<std::int8_t*>(kind.data),
                                           status.data};
        const py::gil_scoped_release released;
        for_each_stack(models.S, {&models.Y, &models.mask, &g, &step.group},
                       [&](std::size_t, Index count, Index first, Index matrix) {
                           kernels::lsr1_step<T>(
                               queue,
                               {models.some<T>(count, first, matrix), stack<const T>(g.arrays[0], count, first),
                                &radii[matrix], stack<T>(step.group.arrays[0], count, first), reports.from(matrix)});
                       });
    });
    return py::make_tuple(step.object, multiplier.object, kind.object, reduction.object, status.object);
}

py::tuple product_of(Call& call, const Models& models, const py::object& vectors) {
    const Group x = require_vectors(call, models.S, vectors, "x", 1);
    const Queue queue = call.queue();
    const NewArrays P = new_vectors(queue, x, models.dtype());
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

Group require_vector(Call& call, const py::object& given, const char* name, Index n) {
    const Group vector = call.one_array(given, name);
    const Array& a = vector.arrays[0];
    require_real(vector);
    if (a.ndim != 1 || a.shape[0] != n)
        wrong_value(a.argument.text(), " must have shape (", n, ",), got ", a.shape_text());
    return vector;
}

/// The pairs of a memory, with their products.
Models kept_pairs(Call& call, const py::object& S, const py::object& Y, const py::object& products, Index first,
                  Index kept, const py::object& gamma) {
    Models models(call, S, Y, gamma, py::none());
    const Group K = call.one_array(products, "products");
    const Array &s = models.S.arrays[0], &k = K.arrays[0];
    const Index width = 2 * s.shape[0];
    if (s.ndim != 2 || k.dtype != DType::float64 || k.ndim != 2 || k.shape[0] != width || k.shape[1] != width ||
        k.strides[1] != 1 || k.strides[0] != width || !k.writable)
        wrong_value(k.argument.text(), " of the state must be contiguous, writable and float64 of shape (", width, ", ",
                    width, "), got ", curvblas::name(k.dtype), " of shape ", k.shape_text());
    models.products = k.as<double>(), models.first = first, models.kept = kept;
    return models;
}

template <class T>
kernels::Lsr1Memory<T> memory_of(const Models& models) {
    return {stack<T>(models.S.arrays[0], 1, 0)[0], stack<T>(models.Y.arrays[0], 1, 0)[0], models.products, models.first,
            models.kept};
}

}  // namespace

py::tuple lsr1_step(const py::object& S, const py::object& Y, const py::object& grad, const py::object& radius,
                    const py::object& gamma, const py::object& mask) {
    Call call("lsr1_step");
    const Models models(call, S, Y, gamma, mask);
    return step_of(call, models, grad, radius);
}

py::tuple lsr1_matvec(const py::object& S, const py::object& Y, const py::object& gamma, const py::object& x,
                      const py::object& mask) {
    Call call("lsr1_matvec");
    const Models models(call, S, Y, gamma, mask);
    return product_of(call, models, x);
}

py::tuple lsr1_memory(const py::object& like, Index m, Index n) {
    Call call("LSR1.update");
    const DType dtype = require_vector(call, like, "s", n).arrays[0].dtype;
    const Queue queue = call.queue();
    const NewArrays S = new_array(queue, {m, n}, dtype), Y = new_array(queue, {m, n}, dtype);
    const NewArrays K = new_array(queue, {2 * m, 2 * m}, DType::float64);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        kernels::lsr1_clear<T>(queue, {stack<T>(S.group.arrays[0], 1, 0)[0], stack<T>(Y.group.arrays[0], 1, 0)[0],
                                       K.group.arrays[0].template as<double>(), 0, 0});
    });
    return py::make_tuple(S.object, Y.object, K.object);
}

py::tuple lsr1_memory_update(const py::object& S, const py::object& Y, const py::object& products, Index first,
                             Index kept, const py::object& gamma, const py::object& s, const py::object& y) {
    Call call("LSR1.update");
    const Models models = kept_pairs(call, S, Y, products, first, kept, py::none());
    require_writable(models.S, ""), require_writable(models.Y, "");
    const Index n = models.S.arrays[0].shape[1];
    const Group step = require_vector(call, s, "s", n), change = require_vector(call, y, "y", n);
    for (const Group* vector : {&step, &change})
        require_dtype(*vector, models.dtype(), "the first vectors of this object");
    const double given = gamma.is_none() ? 0 : call.number(gamma, "gamma", finite);
    const Queue queue = call.queue();
    bool accepted = false;
    Status status = Status::ok;
    with_real(models.dtype(), [&](auto real) {
        using T = decltype(real);
        const Group rows = as_rows(step), changes = as_rows(change);
        const bool is_given = !gamma.is_none();
        const py::gil_scoped_release released;
        accepted = kernels::lsr1_update<T>(queue, memory_of<T>(models), is_given ? &given : nullptr,
                                           stack<const T>(rows.arrays[0], 1, 0)[0],
                                           stack<const T>(changes.arrays[0], 1, 0)[0], &status);
    });
    return py::make_tuple(accepted, static_cast<int>(status));
}

py::tuple lsr1_memory_step(const py::object& S, const py::object& Y, const py::object& products, Index first,
                           Index kept, const py::object& gamma, const py::object& grad, const py::object& radius) {
    Call call("LSR1.step");
    const Models models = kept_pairs(call, S, Y, products, first, kept, gamma);
    return step_of(call, models, grad, radius);
}

py::tuple lsr1_memory_matvec(const py::object& S, const py::object& Y, const py::object& products, Index first,
                             Index kept, const py::object& gamma, const py::object& x) {
    Call call("LSR1.matvec");
    const Models models = kept_pairs(call, S, Y, products, first, kept, gamma);
    return product_of(call, models, x);
}

}  // namespace curvblas
