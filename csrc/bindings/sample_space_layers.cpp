#include "bindings/sample_space_layers.h"

#include "algorithms/sample_space_layers.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"
#include "bindings/rows.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

/// The layers of a call, checked.
struct Layers {
    Group A, G;
    DType dtype;
    std::vector<bool> biases;

    Layers(Call& call, const char* function, const py::object& A_rows, const py::object& G_rows, const py::object& bias)
        : A(call.group(A_rows, "A_rows")) {
        if (!A.ragged || A.arrays.empty())
            wrong_type(function, ": A_rows must be a list of arrays, one for each layer, got ",
                       A.ragged ? "an empty list" : Py_TYPE(A_rows.ptr())->tp_name);
        G = call.group_like(A, "A_rows", G_rows, "G_rows");
        dtype = require_real(A);
        require_dtype(G, dtype, "A_rows");
        for (std::size_t k = 0; k < A.arrays.size(); ++k) require_layer(A.arrays[k], G.arrays[k]);
        biases = call.flags(bias, "bias", A);
    }

    Index N() const { return A.arrays[0].shape[0]; }
    Index inputs(std::size_t k) const { return A.arrays[k].shape[A.arrays[k].ndim - 1] + (biases[k] ? 1 : 0); }
    Index outputs(std::size_t k) const { return G.arrays[k].shape[G.arrays[k].ndim - 1]; }
    std::vector<kernels::LayerRows> views() const {
        std::vector<kernels::LayerRows> layers;
        for (std::size_t k = 0; k < A.arrays.size(); ++k)
            layers.push_back({rows_view(A.arrays[k], 0, false, 0), rows_view(G.arrays[k], 0, false, 0), biases[k]});
        return layers;
    }

  private:
    void require_layer(const Array& a, const Array& g) const {
        const bool is_shared = a.ndim == 3;
        if ((a.ndim != 2 && !is_shared) || a.shape[0] != N())
            wrong_value(a.argument.text(), " must have shape (N, p) or (N, T, p), with the same N for all layers, got ",
                        a.shape_text(), a.ndim > 0 && a.shape[0] != N() ? sentence(" after N = ", N()) : "");
        if (g.ndim != a.ndim || g.shape[0] != a.shape[0] || (is_shared && g.shape[1] != a.shape[1]))
            wrong_value(g.argument.text(), " must have shape (", N(), ", ", is_shared ? sentence(a.shape[1], ", ") : "",
                        "q) for ", a.argument.short_text(), " of shape ", a.shape_text(), ", got ", g.shape_text());
    }
};

}  // namespace

py::object layer_gram(const py::object& A_rows, const py::object& G_rows, const py::object& bias) {
    constexpr const char* function = "layer_gram";
    Call call(function);
    const Layers layers(call, function, A_rows, G_rows, bias);
    const Queue queue = call.queue();
    const Index N = layers.N();
    const NewArrays K = new_array(queue, {N, N}, DType::float64);
    with_real(layers.dtype, [&](auto real) {
        const std::vector<kernels::LayerRows> views = layers.views();
        const py::gil_scoped_release released;
        kernels::layer_gram<decltype(real)>(queue, views, stack<double>(K.group.arrays[0], 1, 0)[0]);
    });
    return K.object;
}

py::tuple sample_space_solve_layers(const py::object& A_rows, const py::object& G_rows, const py::object& rhs,
                                    const py::object& damping, const py::object& bias) {
    constexpr const char* function = "sample_space_solve_layers";
    Call call(function);
    const Layers layers(call, function, A_rows, G_rows, bias);
    Group e = call.one_array(rhs, "rhs");
    require_dtype(e, layers.dtype, "A_rows");
    Array& row = e.arrays[0];
    if (row.ndim != 1 || row.shape[0] != layers.N())
        wrong_value(row.argument.text(), " must have shape (", layers.N(), ",) for A_rows of that many cases, got ",
                    row.shape_text());
    const Numbers dampings = call.parameter(damping, "damping", e, 1, non_negative);
    const Queue queue = call.queue();
    Group shapes{true, {}};
    for (std::size_t k = 0; k < layers.A.arrays.size(); ++k)
        shapes.arrays.push_back(contiguous_of({layers.outputs(k), layers.inputs(k)}, layers.dtype));
    const NewArrays x = new_arrays_like(queue, shapes, layers.dtype);
    const auto status = new_per_matrix<Status>(queue, e, 1);
    row.shape[1] = row.shape[0], row.strides[1] = row.strides[0], row.shape[0] = 1, row.ndim = 2;
    with_real(layers.dtype, [&](auto real) {
        using T = decltype(real);
        const std::vector<kernels::LayerRows> views = layers.views();
        kernels::SampleSpaceLayers<T> task{views, stack<const T>(row, 1, 0)[0], dampings.get(), {}, status.data};
        for (const Array& a : x.group.arrays) task.x.push_back(stack<T>(a, 1, 0)[0]);
        const py::gil_scoped_release released;
        kernels::sample_space_solve_layers<T>(queue, task);
    });
    return py::make_tuple(x.object, status.object);
}

}  // namespace curvblas
