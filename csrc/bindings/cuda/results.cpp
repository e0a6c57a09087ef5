#include "bindings/results.h"

#include "bindings/cuda/device_array.h"

namespace curvblas {
namespace {

Index padded_bytes(const Array& a, DType dtype) { return (a.size() * item_size(dtype) + 255) / 256 * 256; }

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
    Index bytes = 0;
    for (const Array& a : model.arrays) bytes += padded_bytes(a, dtype);
    const auto memory = result_memory(queue, static_cast<std::size_t>(bytes));
    const py::dtype numpy_dtype = dtype == DType::float32 ? py::dtype::of<float>() : py::dtype::of<double>();
    NewArrays result{py::none(), {model.ragged, {}}};
    py::list list;
    std::byte* data = memory.get();
    for (const Array& a : model.arrays) {
        Array view = contiguous_like(a, dtype);
        view.data = data;
        result.group.arrays.push_back(view);
        py::object array = py::cast(device_array(queue, memory, data, numpy_dtype, {a.shape, a.shape + a.ndim}));
        data += padded_bytes(a, dtype);
        if (model.ragged)
            list.append(std::move(array));
        else
            result.object = std::move(array);
    }
    if (model.ragged) result.object = std::move(list);
    return result;
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
