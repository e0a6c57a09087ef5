#include "bindings/low_rank.h"

#include "algorithms/low_rank_solve.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/output.h"
#include "bindings/results.h"
#include "kernels/gram.h"
#include "kernels/multiply.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// ValueError unless every array is a matrix, or outside a list a stack of them.
void require_rows(const Group& rows) {
    for (const Array& a : rows.arrays)
        if (rows.ragged ? a.ndim != 2 : a.ndim < 2)
            wrong_value(a.argument.text(), " must have shape (", rows.ragged ? "" : "..., ", "m, n), got ",
                        a.shape_text());
}

/// What goes with each matrix: a vector, or a matrix with one axis more. Arrays of vectors are seen as matrices of one
/// column, or of one row.
struct Vectors {
    Group group;
    std::vector<bool> are_single;

    /// `axis`: of the vector's elements in a matrix, counted from its end.
    Vectors(const Group& rows, Group vectors, int axis) : group(std::move(vectors)) {
        for (std::size_t k = 0; k < rows.arrays.size(); ++k) {
            const Array &r = rows.arrays[k], &v = group.arrays[k];
            const Index n = r.shape[r.ndim - 1];
            const bool is_single = v.ndim == r.ndim - 1, fits = is_single || v.ndim == r.ndim;
            if (!fits || v.shape[v.ndim - (is_single ? 1 : axis)] != n) {
                const char* const dots = rows.ragged ? "" : "..., ";
                const std::string several = axis == 1 ? sentence("s, ", n) : sentence(n, ", s");
                wrong_value(v.argument.text(), " must have shape (", dots, n, rows.ragged ? "," : "", ") or (", dots,
                            several, ") for ", r.argument.short_text(), " of shape ", r.shape_text(), ", got ",
                            v.shape_text());
            }
            require_same_batch(r, 2, v, is_single ? 1 : 2);
            are_single.push_back(is_single);
        }
    }
};

template <class T>
Stack<T> as_rows(Array v, bool is_single, Index batch, Index first) {
    if (is_single) {
        v.shape[v.ndim] = v.shape[v.ndim - 1], v.strides[v.ndim] = v.strides[v.ndim - 1];
        v.shape[v.ndim - 1] = 1, ++v.ndim;
    }
    return stack<T>(v, batch, first);
}

template <class T>
Stack<T> as_columns(Array v, bool is_single, Index batch, Index first) {
    if (is_single) v.shape[v.ndim] = v.strides[v.ndim] = 1, ++v.ndim;
    return stack<T>(v, batch, first);
}

/// The shapes of products with the m rows of each matrix of the model: (..., m, s), or (..., m) for single vectors;
/// (..., m, m) without vectors.
Group products_of(const Group& model, const Vectors* vectors) {
    Group products{model.ragged, {}};
    for (std::size_t k = 0; k < model.arrays.size(); ++k) {
        Array a = model.arrays[k];
        const Index m = a.shape[a.ndim - 2];
        if (vectors && vectors->are_single[k])
            --a.ndim;
        else
            a.shape[a.ndim - 1] = vectors ? vectors->group.arrays[k].shape[a.ndim - 1] : m;
        products.arrays.push_back(contiguous_like(a, DType::float64));
    }
    return products;
}

/// R R^T, and R V where there are vectors.
py::tuple multiply(Call& call, const Group& R, const Vectors* vectors) {
    const DType dtype = require_real(R);
    if (vectors) require_dtype(vectors->group, dtype, "rows");
    const Queue queue = call.queue();
    const Group none{R.ragged, {}};
    const NewArrays K = new_arrays_like(queue, products_of(R, nullptr), DType::float64);
    const NewArrays P =
        vectors ? new_arrays_like(queue, products_of(R, vectors), DType::float64) : NewArrays{py::none(), none};
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::Gram<T>> tasks;
        const auto append = [&](std::size_t k, Index count, Index first, Index) {
            kernels::Gram<T> task{};
            task.R = stack<const T>(R.arrays[k], count, first);
            task.K = stack<double>(K.group.arrays[k], count, first);
            if (vectors) {
                const bool is_single = vectors->are_single[k];
                task.V = transposed(as_columns<const T>(vectors->group.arrays[k], is_single, count, first));
                task.P = as_columns<double>(P.group.arrays[k], is_single, count, first);
            }
            tasks.push_back(task);
        };
        for_each_stack(R, {&K.group, vectors ? &vectors->group : &none, &P.group}, append);
        const py::gil_scoped_release released;
        kernels::gram<T>(queue, tasks);
    });
    return py::make_tuple(K.object, P.object);
}

}  // namespace

py::object gram(const py::object& rows) {
    Call call("gram");
    const Group R = call.group(rows, "rows");
    require_rows(R);
    return multiply(call, R, nullptr)[0];
}

py::tuple gram_products(const py::object& rows, const py::object& vectors) {
    Call call("gram_products");
    const Group R = call.group(rows, "rows");
    require_rows(R);
    const Vectors V(R, call.group_like(R, "rows", vectors, "vectors"), 2);
    return multiply(call, R, &V);
}

py::object low_rank_solve(const py::object& basis, const py::object& values, const py::object& damping,
                          const py::object& grads, const py::object& out) {
    Call call("low_rank_solve");
    const Group U = call.group(basis, "basis");
    require_rows(U);
    const DType dtype = require_real(U);
    const Group d = call.group_like(U, "basis", values, "values");
    require_dtype(d, dtype, "basis");
    for (std::size_t k = 0; k < U.arrays.size(); ++k) {
        const Array &u = U.arrays[k], &a = d.arrays[k];
        const Index rank = u.shape[u.ndim - 2];
        if (a.ndim != u.ndim - 1 || a.shape[a.ndim - 1] != rank)
            wrong_value(a.argument.text(), " must have shape (", U.ragged ? "" : "..., ", rank, U.ragged ? ",)" : ")",
                        ", one for each row of ", u.argument.short_text(), " of shape ", u.shape_text(), ", got ",
                        a.shape_text());
        require_same_batch(u, 2, a, 1);
    }
    const Vectors G(U, call.group_like(U, "basis", grads, "grads"), 1);
    require_dtype(G.group, dtype, "basis");
    const Numbers dampings = call.parameter(damping, "damping", U, 2, positive);
    const NewArrays X = output_like(call, G.group, "grads", out, {&U, &d, &G.group});
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::LowRankSolve<T>> tasks;
        for_each_stack(U, {&d, &G.group, &X.group}, [&](std::size_t k, Index count, Index first, Index matrix) {
            const bool is_single = G.are_single[k];
            tasks.push_back({stack<const T>(U.arrays[k], count, first),
                             as_rows<const T>(d.arrays[k], true, count, first), &dampings[matrix],
                             as_rows<const T>(G.group.arrays[k], is_single, count, first),
                             as_rows<T>(X.group.arrays[k], is_single, count, first)});
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::low_rank_solve<T>(queue, tasks);
    });
    return X.object;
}

}  // namespace curvblas
