#include "bindings/results.h"

#include "bindings/cuda/device_array.h"

namespace curvblas {
namespace {

constexpr Index alignment = 256;

DeviceArray device_array(const Queue& queue, const std::shared_ptr<std::byte>& memory, std::byte* data,
                         const py::dtype& dtype, const std::vector<Index>& shape) {
    DeviceArray made{memory, data, dtype, {}, {}, false, queue.stream(), queue.device()};
    made.shape.assign(shape.begin(), shape.end()), made.strides.resize(shape.size());
    py::ssize_t stride = dtype.itemsize();
    for (std::size_t k = shape.size(); k-- > 0;) made.strides[k] = stride, stride *= made.shape[k];
    return made;
}

}  // namespace

NewArrays new_arrays_like(const Queue& queue, const Group& model, DType dtype) {
    const auto memory = result_memory(queue, static_cast<std::size_t>(bytes_of(model, dtype, alignment)));
    const py::dtype numpy_dtype = dtype == DType::float32 ? py::dtype::of<float>() : py::dtype::of<double>();
    return arrays_in(memory.get(), model, dtype, alignment, [&](const Array& a) {
        return py::cast(device_array(queue, memory, a.as<std::byte>(), numpy_dtype, {a.shape, a.shape + a.ndim}));
    });
}

template <class T>
PerMatrix<T> new_per_matrix(const Queue& queue, const Group& model, int inner) {
    using Element = std::conditional_t<std::is_same_v<T, Status>, std::int8_t, T>;
    const auto memory = result_memory(queue, static_cast<std::size_t>(matrices_of(model, inner)) * sizeof(T));
    return {
        py::cast(device_array(queue, memory, memory.get(), py::dtype::of<Element>(), shape_per_matrix(model, inner))),
        reinterpret_cast<T*>(memory.get())};
}

template PerMatrix<double> new_per_matrix(const Queue&, const Group&, int);
template PerMatrix<Status> new_per_matrix(const Queue&, const Group&, int);

}  // namespace curvblas
