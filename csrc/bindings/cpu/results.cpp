#include "bindings/results.h"

#include <new>

namespace curvblas {
namespace {

constexpr std::align_val_t alignment{64};

Index padded_bytes(const Array& a, DType dtype) { return (a.size() * item_size(dtype) + 63) / 64 * 64; }

}  // namespace

NewArrays new_arrays_like(const Queue&, const Group& model, DType dtype) {
    Index bytes = 0;
    for (const Array& a : model.arrays) bytes += padded_bytes(a, dtype);
    auto* memory = static_cast<std::byte*>(::operator new(static_cast<std::size_t>(bytes), alignment));
    const py::capsule owner(memory, [](void* p) { ::operator delete(p, alignment); });
    const py::dtype numpy_dtype = dtype == DType::float32 ? py::dtype::of<float>() : py::dtype::of<double>();
    NewArrays result{py::none(), {model.ragged, {}}};
    py::list list;
    for (const Array& a : model.arrays) {
        Array view = contiguous_like(a, dtype);
        view.data = memory;
        result.group.arrays.push_back(view);
        const std::vector<Index> shape(a.shape, a.shape + a.ndim);
        py::array array(numpy_dtype, shape, memory, owner);
        memory += padded_bytes(a, dtype);
        if (model.ragged)
            list.append(std::move(array));
        else
            result.object = std::move(array);
    }
    if (model.ragged) result.object = std::move(list);
    return result;
}

template <class T>
PerMatrix<T> new_per_matrix(const Queue&, const Group& model, int inner) {
    using Element = std::conditional_t<std::is_same_v<T, Status>, std::int8_t, T>;
    py::array_t<Element> array(shape_per_matrix(model, inner));
    auto* const data = reinterpret_cast<T*>(array.mutable_data());
    return {std::move(array), data};
}

template PerMatrix<double> new_per_matrix(const Queue&, const Group&, int);
template PerMatrix<Status> new_per_matrix(const Queue&, const Group&, int);

}  // namespace curvblas
