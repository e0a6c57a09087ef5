#include "bindings/moments.h"

#include "bindings/memory.h"
#include "bindings/results.h"
#include "bindings/rows.h"
#include "kernels/update_ekfac_moments.h"
#include "kernels/update_lagged_factors.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// Arrays that are read and written in place, or new ones that take the result.
NewArrays updated_or_new(const Call& call, const py::object& object, const Group& group, bool copy, const char* advice,
                         std::initializer_list<const Group*> inputs) {
    if (copy) return new_arrays_like(call.queue(), group, require_real(group));
    require_writable(group, advice);
    Memory memory;
    memory.writes(group);
    for (const Group* input : inputs) memory.reads(*input);
    memory.require_disjoint();
    return {object, group};
}

void require_basis(const Array& S, const Array& Q, int axis, const char* letter) {
    const Index n = S.shape[S.ndim - axis];
    const bool fits = Q.ndim == S.ndim && Q.shape[S.ndim - 2] == n && Q.shape[S.ndim - 1] == n;
    if (fits) return require_same_batch(S, 2, Q, 2);
    wrong_value(Q.argument.text(), " must have shape (", S.ndim > 2 ? "..., " : "", letter, ", ", letter, ") = (", n,
                ", ", n, ") for ", S.argument.short_text(), " of shape ", S.shape_text(), ", got ", Q.shape_text());
}

/// ValueError unless R is (..., N, T, d).
void require_sequences(const Array& C, const Array& R, bool bias) {
    const Index d = C.shape[C.ndim - 1] - (bias ? 1 : 0);
    if (d >= 0 && (R.ndim != C.ndim + 1 || R.shape[R.ndim - 1] != d))
        wrong_value(R.argument.text(), " must have shape (", C.ndim > 2 ? "..., " : "", "N, T, ", d, ") for ",
                    C.argument.short_text(), " of shape ", C.shape_text(), bias ? " with bias=True" : "", ", got ",
                    R.shape_text());
    require_rows(C, R, bias);
}

}  // namespace

py::object update_ekfac_moments(const py::object& second_moments, const py::object& A_rows, const py::object& G_rows,
                                const py::object& A_basis, const py::object& G_basis, const py::object& decay,
                                const py::object& scale, const py::object& bias, const py::object& copy_or_not) {
    Call call("update_ekfac_moments");
    constexpr const char* model = "second_moments";
    const bool copy = call.flag(copy_or_not, "copy");
    const Group S = call.group(second_moments, model);
    const DType dtype = require_real(S);
    const Group A = call.group_like(S, model, A_rows, "A_rows"), G = call.group_like(S, model, G_rows, "G_rows");
    const Group Q_A = call.group_like(S, model, A_basis, "A_basis"),
                Q_G = call.group_like(S, model, G_basis, "G_basis");
    require_dtype(Q_A, dtype, model), require_dtype(Q_G, dtype, model);
    const std::vector<bool> biases = call.flags(bias, "bias", S);
    for (std::size_t k = 0; k < S.arrays.size(); ++k) {
        const Array& s = S.arrays[k];
        if (S.ragged ? s.ndim != 2 : s.ndim < 2)
            wrong_value(s.argument.text(), " must have shape (", S.ragged ? "" : "..., ", "q, p), got ",
                        s.shape_text());
        require_rows(s, A.arrays[k], biases[k]);
        require_paired_rows(s, A.arrays[k], G.arrays[k]);
        require_basis(s, Q_A.arrays[k], 1, "p");
        require_basis(s, Q_G.arrays[k], 2, "q");
    }
    const Numbers decays = call.parameter(decay, "decay", S, 2, fraction);
    const Numbers scales = scale.is_none() ? nullptr : call.parameter(scale, "scale", S, 2, finite);
    const NewArrays updated =
        updated_or_new(call, second_moments, S, copy, ": copy=True returns new moments instead", {&A, &G, &Q_A, &Q_G});
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::UpdateEkfacMoments<T>> tasks;
        for_each_stack(S, {&A, &G, &Q_A, &Q_G}, [&](std::size_t k, Index count, Index first, Index matrix) {
            const int leading = S.arrays[k].ndim - 2;
            tasks.push_back({stack<const T>(S.arrays[k], count, first), rows_view(A.arrays[k], leading, false, first),
                             rows_view(G.arrays[k], leading, false, first), stack<const T>(Q_A.arrays[k], count, first),
                             stack<const T>(Q_G.arrays[k], count, first), biases[k], &decays[matrix],
                             scales ? &scales[matrix] : nullptr, stack<T>(updated.group.arrays[k], count, first)});
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::update_ekfac_moments<T>(queue, tasks);
    });
    return updated.object;
}

py::object update_lagged_factors(const py::object& factors, const py::object& rows, const py::object& lag,
                                 const py::object& symmetric, const py::object& decay, const py::object& scale,
                                 const py::object& bias, const py::object& copy_or_not) {
    Call call("update_lagged_factors");
    const bool copy = call.flag(copy_or_not, "copy"), is_symmetric = call.flag(symmetric, "symmetric");
    const Index steps = call.count(lag, "lag");
    const Group C = call.group(factors, "factors");
    require_square(C);
    const DType dtype = require_real(C);
    const Group R = call.group_like(C, "factors", rows, "rows");
    const std::vector<bool> biases = call.flags(bias, "bias", C);
    for (std::size_t k = 0; k < C.arrays.size(); ++k) require_sequences(C.arrays[k], R.arrays[k], biases[k]);
    const Numbers decays = call.parameter(decay, "decay", C, 2, fraction);
    const Numbers scales = scale.is_none() ? nullptr : call.parameter(scale, "scale", C, 2, finite);
    const NewArrays updated = updated_or_new(call, factors, C, copy, ": copy=True returns new factors instead", {&R});
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::UpdateLaggedFactors<T>> tasks;
        for_each_stack(C, {&R}, [&](std::size_t k, Index count, Index first, Index matrix) {
            const int leading = C.arrays[k].ndim - 2;
            tasks.push_back({stack<const T>(C.arrays[k], count, first), rows_view(R.arrays[k], leading, false, first),
                             steps, is_symmetric, biases[k], &decays[matrix], scales ? &scales[matrix] : nullptr,
                             stack<T>(updated.group.arrays[k], count, first)});
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::update_lagged_factors<T>(queue, tasks);
    });
    return updated.object;
}

}  // namespace curvblas
