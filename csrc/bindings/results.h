// New arrays for results, in the memory of the backend: made in one loop, aligned.
#pragma once

#include "bindings/backend.h"
#include "bindings/group.h"
#include "core/status.h"

namespace curvblas {

/// New, uninitialised arrays: the Python object in the form of the model (one array, or a list), and views of it.
struct NewArrays {
    py::object object;
    Group group;
};

/// Arrays of the model's shapes. Those of a list share one allocation, which lives as long as any of them.
NewArrays new_arrays_like(const Queue& queue, const Group& model, DType dtype);

/// One array of this shape.
inline NewArrays new_array(const Queue& queue, const std::vector<Index>& shape, DType dtype) {
    return new_arrays_like(queue, Group{false, {contiguous_of(shape, dtype)}}, dtype);
}

/// A new array with one entry per matrix.
template <class T>
struct PerMatrix {
    py::object object;
    T* data;
};

/// `T` is double or Status (int8 in Python).
template <class T>
PerMatrix<T> new_per_matrix(const Queue& queue, const Group& model, int inner);

// For the backends:

/// Arrays of the model's shapes that share one allocation; make(view) gives the Python object of one.
template <class Make>
NewArrays arrays_in(std::byte* data, const Group& model, DType dtype, Index alignment, const Make& make) {
    NewArrays result{py::none(), {model.ragged, {}}};
    py::list list;
    for (const Array& a : model.arrays) {
        Array view = contiguous_like(a, dtype);
        view.data = data;
        data += padded_bytes(a, dtype, alignment);
        py::object array = make(view);
        result.group.arrays.push_back(view);
        if (model.ragged)
            list.append(std::move(array));
        else
            result.object = std::move(array);
    }
    if (model.ragged) result.object = std::move(list);
    return result;
}

}  // namespace curvblas
