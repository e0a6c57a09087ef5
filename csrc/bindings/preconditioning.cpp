#include "bindings/preconditioning.h"

#include "algorithms/kron_sum_solve.h"
#include "bindings/output.h"
#include "kernels/precondition.h"
#include "kernels/precondition_eigen.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// ValueError unless every array is (..., out_features, in_features).
DType require_gradients(const Group& V) {
    const DType dtype = require_real(V);
    for (const Array& v : V.arrays)
        if (V.ragged ? v.ndim != 2 : v.ndim < 2)
            wrong_value(v.argument.text(), " must have shape (", V.ragged ? "" : "..., ",
                        "out_features, in_features), got ", v.shape_text());
    return dtype;
}

/// ValueError unless `side` is a square matrix of the last axis of v (axis 1), or of the one before (axis 2).
void require_side(const Array& v, const Array& side, int axis) {
    const char* const letter = axis == 1 ? "n" : "m";
    const Index n = v.shape[v.ndim - axis];
    const bool fits = side.ndim == v.ndim && side.shape[v.ndim - 2] == n && side.shape[v.ndim - 1] == n;
    if (!fits)
        wrong_value(side.argument.text(), " must have shape (", v.ndim > 2 ? "..., " : "", letter, ", ", letter,
                    ") = (", n, ", ", n, ") for ", v.argument.short_text(), " of shape ", v.shape_text(), ", got ",
                    side.shape_text());
    require_same_batch(v, 2, side, 2);
}

/// An argument with square matrices beside the gradients.
Group sides_of(Call& call, const Group& V, const char* model, DType dtype, const py::object& object, const char* name,
               int axis) {
    const Group sides = call.group_like(V, model, object, name);
    require_dtype(sides, dtype, model);
    for (std::size_t k = 0; k < V.arrays.size(); ++k) require_side(V.arrays[k], sides.arrays[k], axis);
    return sides;
}

/// An argument with one number for each element of an axis of the gradients, or an empty group for None.
Group values_of(Call& call, const Group& V, DType dtype, const py::object& object, const char* name, int axis) {
    if (object.is_none()) return {};
    const Group values = call.group_like(V, "grads", object, name);
    require_dtype(values, dtype, "grads");
    for (std::size_t k = 0; k < V.arrays.size(); ++k) {
        const Array &v = V.arrays[k], &s = values.arrays[k];
        const Index n = v.shape[v.ndim - axis];
        if (s.ndim != v.ndim - 1 || s.shape[s.ndim - 1] != n)
            wrong_value(s.argument.text(), " must have shape (", v.ndim > 2 ? "..., " : "", n, ",) for ",
                        v.argument.short_text(), " of shape ", v.shape_text(), ", got ", s.shape_text());
        require_same_batch(v, 2, s, 1);
    }
    return values;
}

Group moments_of(Call& call, const Group& V, DType dtype, const py::object& object) {
    if (object.is_none()) return {};
    const Group S = call.group_like(V, "grads", object, "second_moments");
    require_dtype(S, dtype, "grads");
    for (std::size_t k = 0; k < V.arrays.size(); ++k) {
        const Array &v = V.arrays[k], &s = S.arrays[k];
        bool same = s.ndim == v.ndim;
        for (int i = 0; same && i < v.ndim; ++i) same = s.shape[i] == v.shape[i];
        if (!same)
            wrong_value(s.argument.text(), " must have shape ", v.shape_text(), " like ", v.argument.short_text(),
                        ", got ", s.shape_text());
    }
    return S;
}

template <class T>
Stack<const T> stack_or_none(const Group& group, std::size_t k, Index count, Index first) {
    return group.arrays.empty() ? Stack<const T>{} : stack<const T>(group.arrays[k], count, first);
}

/// `batch` vectors, as matrices of one row.
template <class T>
Stack<const T> row_stack(const Group& group, std::size_t k, Index batch, Index first) {
    if (group.arrays.empty()) return {};
    const Array& a = group.arrays[k];
    Index stride = 0;
    single_stride(a, 1, stride);
    const T* const data = static_cast<const T*>(a.data) + offset_of(a, 1, first);
    return {data, 1, a.shape[a.ndim - 1], 0, a.strides[a.ndim - 1], batch, stride};
}

/// P, and the inner products where `with_inner`.
py::tuple precondition_group(const char* function, bool with_inner, const py::object& grads, const py::object& A_inv,
                             const py::object& G_inv, const py::object& out) {
    Call call(function);
    const Group V = call.group(grads, "grads");
    const DType dtype = require_gradients(V);
    const Group A = sides_of(call, V, "grads", dtype, A_inv, "A_inv", 1),
                G = sides_of(call, V, "grads", dtype, G_inv, "G_inv", 2);
    const NewArrays P = output_like(call, V, "grads", out, {&V, &A, &G});
    const Queue queue = call.queue();
    const PerMatrix<double> inner =
        with_inner ? new_per_matrix<double>(queue, V, 2) : PerMatrix<double>{py::none(), nullptr};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::Precondition<T>> tasks;
        for_each_stack(V, {&A, &G, &P.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
            tasks.push_back({stack<const T>(V.arrays[k], count, first), stack<const T>(A.arrays[k], count, first),
                             stack<const T>(G.arrays[k], count, first), stack<T>(P.group.arrays[k], count, first),
                             with_inner ? inner.data + matrix : nullptr});
        });
        const py::gil_scoped_release released;
        kernels::precondition<T>(queue, tasks);
    });
    return py::make_tuple(P.object, inner.object);
}

}  // namespace

py::object precondition(const py::object& grads, const py::object& A_inv, const py::object& G_inv,
                        const py::object& out) {
    return precondition_group("precondition", false, grads, A_inv, G_inv, out)[0];
}

py::tuple precondition_with_inner(const py::object& grads, const py::object& A_inv, const py::object& G_inv,
                                  const py::object& out) {
    return precondition_group("precondition_with_inner", true, grads, A_inv, G_inv, out);
}

py::object precondition_eigen(const py::object& grads, const py::object& A_vectors, const py::object& G_vectors,
                              const py::object& A_values, const py::object& G_values, const py::object& second_moments,
                              const py::object& damping, const py::object& out) {
    Call call("precondition_eigen");
    const Group V = call.group(grads, "grads");
    const DType dtype = require_gradients(V);
    const Group Q_A = sides_of(call, V, "grads", dtype, A_vectors, "A_basis", 1),
                Q_G = sides_of(call, V, "grads", dtype, G_vectors, "G_basis", 2);
    const Group s_A = values_of(call, V, dtype, A_values, "A_basis.values", 1),
                s_G = values_of(call, V, dtype, G_values, "G_basis.values", 2);
    const Group S = moments_of(call, V, dtype, second_moments);
    const Numbers dampings = call.parameter(damping, "damping", V, 2, non_negative);
    const NewArrays P = output_like(call, V, "grads", out, {&V, &Q_A, &Q_G, &s_A, &s_G, &S});
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::PreconditionEigen<T>> tasks;
        for_each_stack(
            V, {&Q_A, &Q_G, &s_A, &s_G, &S, &P.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
                tasks.push_back({stack<const T>(V.arrays[k], count, first), stack<const T>(Q_A.arrays[k], count, first),
                                 stack<const T>(Q_G.arrays[k], count, first), row_stack<T>(s_A, k, count, first),
                                 row_stack<T>(s_G, k, count, first), stack_or_none<T>(S, k, count, first),
                                 &dampings[matrix], stack<T>(P.group.arrays[k], count, first)});
            });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::precondition_eigen<T>(queue, tasks);
    });
    return P.object;
}

py::tuple kron_sum_solve(const py::object& A, const py::object& B, const py::object& C, const py::object& D,
                         const py::object& Z, double sign, const py::object& out) {
    Call call("kron_sum_solve");
    const Group Zs = call.group(Z, "Z");
    const DType dtype = require_gradients(Zs);
    const Group As = sides_of(call, Zs, "Z", dtype, A, "A", 1), Bs = sides_of(call, Zs, "Z", dtype, B, "B", 2),
                Cs = sides_of(call, Zs, "Z", dtype, C, "C", 1), Ds = sides_of(call, Zs, "Z", dtype, D, "D", 2);
    const NewArrays X = output_like(call, Zs, "Z", out, {&As, &Bs, &Cs, &Ds, &Zs});
    const Queue queue = call.queue();
    const auto status = new_per_matrix<Status>(queue, Zs, 2);
    const auto residual = new_per_matrix<double>(queue, Zs, 2);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::KronSumSolve<T>> tasks;
        for_each_stack(Zs, {&As, &Bs, &Cs, &Ds, &X.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
            tasks.push_back({stack<const T>(As.arrays[k], count, first), stack<const T>(Bs.arrays[k], count, first),
                             stack<const T>(Cs.arrays[k], count, first), stack<const T>(Ds.arrays[k], count, first),
                             stack<const T>(Zs.arrays[k], count, first), stack<T>(X.group.arrays[k], count, first),
                             status.data + matrix, residual.data + matrix});
        });
        const py::gil_scoped_release released;
        kernels::kron_sum_solve<T>(queue, tasks, sign);
    });
    return py::make_tuple(X.object, status.object, residual.object);
}

}  // namespace curvblas
