#include "bindings/kalman.h"

#include "algorithms/kalman.h"
#include "bindings/backend.h"
#include "bindings/group.h"
#include "bindings/results.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;
constexpr const char* function = "KalmanNaturalGradient.step";

std::span<const Index> span_of(const py::array_t<Index>& begins) {
    return {begins.data(), static_cast<std::size_t>(begins.size())};
}

/// Of the covariances of all blocks.
Index words_of(std::span<const Index> begins) {
    Index words = 0;
    for (std::size_t b = 0; b + 1 < begins.size(); ++b)
        words += (begins[b + 1] - begins[b]) * (begins[b + 1] - begins[b]);
    return words;
}

Group require_jacobian(Call& call, const py::object& jacobian, Index n) {
    const Group H = call.one_array(jacobian, "jacobian");
    const Array& a = H.arrays[0];
    require_real(H);
    if (a.ndim != 2 || a.shape[0] == 0 || a.shape[1] != n)
        wrong_value(a.argument.text(), " must have shape (o, ", n, ") with o > 0, got ", a.shape_text());
    return H;
}

/// A vector as a matrix of one column; a matrix as it is.
Array as_columns(Array a) {
    if (a.ndim == 1) a.shape[1] = 1, a.strides[1] = 1, a.ndim = 2;
    return a;
}

void require_error(const Group& e, Index o) {
    const Array& a = e.arrays[0];
    if (a.ndim != 1 || a.shape[0] != o)
        wrong_value(a.argument.text(), " must have shape (o,) = (", o, ",), got ", a.shape_text());
}

void require_noise(const Group& R, Index o) {
    const Array& a = R.arrays[0];
    const bool fits = (a.ndim == 1 || a.ndim == 2) && a.shape[0] == o && (a.ndim == 1 || a.shape[1] == o);
    if (!fits)
        wrong_value(a.argument.text(), " must have shape (o, o) = (", o, ", ", o, ") or (o,) = (", o, ",), got ",
                    a.shape_text());
}

/// The covariances of the memory or of a state.
Group kept(Call& call, const py::object& covariance, Index words) {
    const Group P = call.one_array(covariance, "covariance");
    const Array& a = P.arrays[0];
    if (a.ndim != 1 || a.shape[0] != words || (words > 1 && a.strides[0] != 1) || !a.writable)
        wrong_value(a.argument.text(), " of the state must be contiguous, writable and of shape (", words, ",), got ",
                    a.shape_text());
    require_real(P);
    return P;
}

}  // namespace

py::object kalman_memory(const py::object& jacobian, const py::array_t<Index>& begins, const py::array_t<double>& given,
                         double variance) {
    Call call(function);
    const std::span<const Index> blocks = span_of(begins);
    const DType dtype = require_real(require_jacobian(call, jacobian, blocks.back()));
    const Queue queue = call.queue();
    const NewArrays P = new_array(queue, {words_of(blocks)}, dtype);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        const std::span<const double> values{given.data(), static_cast<std::size_t>(given.size())};
        const py::gil_scoped_release released;
        kernels::kalman_start<T>(queue, P.group.arrays[0].template as<T>(), blocks, values, variance);
    });
    return P.object;
}

py::tuple kalman_step(const py::object& covariance, const py::object& jacobian, const py::object& error,
                      const py::object& noise, const py::array_t<Index>& begins, double fading) {
    Call call(function);
    const std::span<const Index> blocks = span_of(begins);
    const Group H = require_jacobian(call, jacobian, blocks.back());
    const Group P = kept(call, covariance, words_of(blocks));
    const DType dtype = P.arrays[0].dtype;
    require_dtype(H, dtype, "the first jacobian of this object");
    const Group e = call.one_array(error, "error"), R = call.one_array(noise, "noise");
    require_dtype(e, dtype, "jacobian"), require_dtype(R, dtype, "jacobian");
    require_error(e, H.arrays[0].shape[0]), require_noise(R, H.arrays[0].shape[0]);
    const Queue queue = call.queue();
    const NewArrays update = new_array(queue, {blocks.back()}, dtype);
    const Group model{true, std::vector<Array>(blocks.size() - 1)};
    const auto status = new_per_matrix<Status>(queue, model, 0);
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        const kernels::KalmanStep<T> step{P.arrays[0].as<T>(),
                                          blocks,
                                          stack<const T>(H.arrays[0], 1, 0)[0],
                                          stack<const T>(as_columns(e.arrays[0]), 1, 0)[0],
                                          stack<const T>(as_columns(R.arrays[0]), 1, 0)[0],
                                          R.arrays[0].ndim == 1,
                                          fading,
                                          update.group.arrays[0].template as<T>(),
                                          status.data};
        const py::gil_scoped_release released;
        kernels::kalman_step<T>(queue, step);
    });
    return py::make_tuple(update.object, status.object);
}

}  // namespace curvblas
