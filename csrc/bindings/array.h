// One argument of a Python call as the bindings see it: an array of any library, and its name for error sentences.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "core/require.h"
#include "core/view.h"

namespace curvblas {

namespace py = pybind11;

/// "update_factors: rows[3]": where an array came from. `index` is -1 outside a ragged group.
struct Argument {
    const char* function;
    const char* name;
    Index index = -1;

    std::string text() const {
        return index < 0 ? sentence(function, ": ", name) : sentence(function, ": ", name, "[", index, "]");
    }
    /// Without the function: for the second array that a sentence names.
    std::string short_text() const { return index < 0 ? std::string(name) : sentence(name, "[", index, "]"); }
};

constexpr int most_dimensions = 8;

/// Memory of an array, whoever owns it. Strides count elements.
struct Array {
    void* data;
    DType dtype;
    bool writable;
    int ndim;
    Index shape[most_dimensions], strides[most_dimensions];
    Argument argument;

    Index size() const {
        Index n = 1;
        for (int k = 0; k < ndim; ++k) n *= shape[k];
        return n;
    }
    std::string shape_text(int first = 0) const {
        std::string text = "(";
        for (int k = first; k < ndim; ++k) text += sentence(k > first ? ", " : "", shape[k]);
        return text + (ndim - first == 1 ? ",)" : ")");
    }
    template <class T>
    T* as() const {
        return static_cast<T*>(data);
    }
};

/// Reads the memory description of `object`; `keep_alive` gets what must outlive its use. No copy. TypeError for what
/// is no array on this backend's device, for other dtypes, and for results such as InverseResult; ValueError for memory
/// that is not aligned.
Array read_array(py::handle object, const Argument& argument, py::list& keep_alive);

/// The library an array belongs to: "numpy" (also for anything with the buffer protocol), "torch", "jax", ...
std::string library_of(py::handle object);

}  // namespace curvblas
