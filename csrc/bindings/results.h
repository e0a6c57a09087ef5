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

/// A new array with one entry per matrix.
template <class T>
struct PerMatrix {
    py::object object;
    T* data;
};

/// `T` is double or Status (int8 in Python).
template <class T>
PerMatrix<T> new_per_matrix(const Queue& queue, const Group& model, int inner);

}  // namespace curvblas
