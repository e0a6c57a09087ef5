// New arrays for results: made in one loop, 64-byte aligned.
#pragma once

#include "bindings/group.h"

namespace curvblas {

/// New, uninitialised arrays: the Python object in the form of the model (one array, or a list), and views of it.
struct NewArrays {
    py::object object;
    Group group;
};

/// Arrays of the model's shapes. Those of a list share one allocation, which lives as long as any of them.
NewArrays new_arrays_like(const Group& model, DType dtype);

/// `shape` of one entry per matrix: () for a single array, the leading axes of a stack, (k,) for a list of k arrays.
std::vector<Index> shape_per_matrix(const Group& model, int inner);

/// An array with one entry per matrix, copied from `values`.
template <class T>
py::object per_matrix(const Group& model, int inner, const std::vector<T>& values) {
    return py::array_t<T>(shape_per_matrix(model, inner), values.data());
}

}  // namespace curvblas
