#include "bindings/unitwise.h"

#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/memory.h"
#include "bindings/output.h"
#include "bindings/results.h"
#include "bindings/rows.h"
#include "kernels/accumulate_quasi_diagonal.h"
#include "kernels/solve_quasi_diagonal.h"
#include "kernels/update_unit_moments.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;
constexpr const char* advice = ": copy=True returns new moments instead";

/// ValueError unless each array is (q, p, p), or outside a list a stack of them.
void require_units(const Group& M) {
    for (const Array& a : M.arrays) {
        const bool fits = M.ragged ? a.ndim == 3 : a.ndim >= 3;
        if (!fits || a.shape[a.ndim - 1] != a.shape[a.ndim - 2])
            wrong_value(a.argument.text(), " must have shape (", M.ragged ? "" : "..., ", "q, p, p), got ",
                        a.shape_text());
    }
}

/// ValueError unless each array is (q, p) with p >= 1, or outside a list a stack of them.
void require_layers(const Group& M) {
    for (const Array& a : M.arrays) {
        const bool fits = M.ragged ? a.ndim == 2 : a.ndim >= 2;
        if (!fits || a.shape[a.ndim - 1] < 1)
            wrong_value(a.argument.text(), " must have shape (", M.ragged ? "" : "..., ", "q, p) with p >= 1, got ",
                        a.shape_text());
    }
}

void require_in_place(std::initializer_list<const Group*> written, std::initializer_list<const Group*> read) {
    Memory memory;
    for (const Group* group : written) {
        require_writable(*group, advice);
        memory.writes(*group);
    }
    for (const Group* group : read) memory.reads(*group);
    memory.require_disjoint();
}

/// The units of layer b of an array.
template <class T>
Stack<T> units_of(const Array& a, Index b) {
    const int k = a.ndim - 3;
    const Index p = a.shape[k + 1];
    // A stride along an axis of one element may be any number.
    const Index row_stride = p > 1 ? a.strides[k + 1] : 1, column_stride = p > 1 ? a.strides[k + 2] : 1;
    return {static_cast<T*>(a.data) + offset_of(a, 3, b), p, p, row_stride, column_stride, a.shape[k], a.strides[k]};
}

}  // namespace

py::object update_unit_moments(const py::object& moments, const py::object& rows, const py::object& weights,
                               const py::object& decay, const py::object& scale, const py::object& bias,
                               const py::object& copy_or_not) {
    Call call("update_unit_moments");
    constexpr const char* model = "moments";
    const bool copy = call.flag(copy_or_not, "copy");
    const Group M = call.group(moments, model);
    require_units(M);
    const DType dtype = require_real(M);
    const Group R = call.group_like(M, model, rows, "rows"), W = call.group_like(M, model, weights, "weights");
    const std::vector<bool> biases = call.flags(bias, "bias", M);
    for (std::size_t k = 0; k < M.arrays.size(); ++k) {
        require_rows(M.arrays[k], R.arrays[k], biases[k], 3);
        require_paired_rows(M.arrays[k], R.arrays[k], W.arrays[k], 3);
    }
    const Numbers decays = call.parameter(decay, "decay", M, 3, fraction);
    const Numbers scales = scale.is_none() ? nullptr : call.parameter(scale, "scale", M, 3, finite);
    if (!copy) require_in_place({&M}, {&R, &W});
    const NewArrays updated = copy ? new_arrays_like(call.queue(), M, dtype) : NewArrays{moments, M};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::UpdateUnitMoments<T>> tasks;
        Index layer = 0;
        for (std::size_t k = 0; k < M.arrays.size(); ++k) {
            const int leading = M.arrays[k].ndim - 3;
            for (Index b = 0; b < batch_of(M.arrays[k], 3); ++b, ++layer)
                tasks.push_back({units_of<const T>(M.arrays[k], b), rows_view(R.arrays[k], leading, false, b),
                                 rows_view(W.arrays[k], leading, false, b), biases[k], &decays[layer],
                                 scales ? &scales[layer] : nullptr, units_of<T>(updated.group.arrays[k], b)});
        }
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::update_unit_moments<T>(queue, tasks);
    });
    return updated.object;
}

py::tuple accumulate_quasi_diagonal(const py::object& first_moments, const py::object& second_moments,
                                    const py::object& rows, const py::object& weights, const py::object& decay,
                                    const py::object& scale, const py::object& copy_or_not) {
    Call call("accumulate_quasi_diagonal");
    constexpr const char* model = "first_moments";
    const bool copy = call.flag(copy_or_not, "copy");
    const Group M = call.group(first_moments, model);
    require_layers(M);
    const DType dtype = require_real(M);
    const Group S = call.group_like(M, model, second_moments, "second_moments");
    require_dtype(S, dtype, model), require_shapes_of(M, S);
    const Group R = call.group_like(M, model, rows, "rows"), W = call.group_like(M, model, weights, "weights");
    for (std::size_t k = 0; k < M.arrays.size(); ++k) {
        require_rows(M.arrays[k], R.arrays[k], true);
        require_paired_rows(M.arrays[k], R.arrays[k], W.arrays[k]);
    }
    const Numbers decays = call.parameter(decay, "decay", M, 2, fraction);
    const Numbers scales = scale.is_none() ? nullptr : call.parameter(scale, "scale", M, 2, finite);
    if (!copy) require_in_place({&M, &S}, {&R, &W});
    const NewArrays first = copy ? new_arrays_like(call.queue(), M, dtype) : NewArrays{first_moments, M};
    const NewArrays second = copy ? new_arrays_like(call.queue(), S, dtype) : NewArrays{second_moments, S};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::AccumulateQuasiDiagonal<T>> tasks;
        for_each_stack(M, {&S, &R, &W}, [&](std::size_t k, Index count, Index begin, Index matrix) {
            const int leading = M.arrays[k].ndim - 2;
            tasks.push_back({stack<const T>(M.arrays[k], count, begin), stack<const T>(S.arrays[k], count, begin),
                             rows_view(R.arrays[k], leading, false, begin),
                             rows_view(W.arrays[k], leading, false, begin), &decays[matrix],
                             scales ? &scales[matrix] : nullptr, stack<T>(first.group.arrays[k], count, begin),
                             stack<T>(second.group.arrays[k], count, begin)});
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::accumulate_quasi_diagonal<T>(queue, tasks);
    });
    return py::make_tuple(first.object, second.object);
}

py::tuple solve_quasi_diagonal(const py::object& first_moments, const py::object& second_moments,
                               const py::object& grads, const py::object& damping, const py::object& floor,
                               const py::object& out) {
    Call call("solve_quasi_diagonal");
    constexpr const char* model = "first_moments";
    const Group M = call.group(first_moments, model);
    require_layers(M);
    const DType dtype = require_real(M);
    const Group S = call.group_like(M, model, second_moments, "second_moments");
    const Group G = call.group_like(M, model, grads, "grads");
    for (const Group* other : {&S, &G}) require_dtype(*other, dtype, model), require_shapes_of(M, *other);
    const Numbers dampings = call.parameter(damping, "damping", M, 2, non_negative);
    const double least = call.number(floor, "floor", below_one);
    const NewArrays w = output_like(call, G, "grads", out, {&M, &S, &G});
    Index units = 0;
    for (const Array& a : M.arrays) units += batch_of(a, 1);
    const Queue queue = call.queue();
    const Group all_units{false, {contiguous_of(M.ragged ? std::vector{units} : shape_per_matrix(M, 1), dtype)}};
    const auto status = new_per_matrix<Status>(queue, all_units, 0);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::SolveQuasiDiagonal<T>> tasks;
        Index unit = 0;
        for_each_stack(M, {&S, &G, &w.group}, [&](std::size_t k, Index count, Index begin, Index matrix) {
            tasks.push_back({stack<const T>(M.arrays[k], count, begin), stack<const T>(S.arrays[k], count, begin),
                             stack<const T>(G.arrays[k], count, begin), &dampings[matrix], least,
                             stack<T>(w.group.arrays[k], count, begin), status.data + unit});
            unit += count * M.arrays[k].shape[M.arrays[k].ndim - 2];
        });
        const py::gil_scoped_release released;
        kernels::solve_quasi_diagonal<T>(queue, tasks);
    });
    return py::make_tuple(w.object, status.object);
}

}  // namespace curvblas
