// One argument of a Python call as the bindings see it: an array of any library, and its name for error sentences.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <vector>

#include "bindings/dlpack.h"
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
constexpr const char* accepted_dtypes = "float64 or float32 (rows also float16 or bfloat16)";

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
    /// The elements from `low` up to, not including, `high`, counted from `data`, that the strides reach.
    struct Extent {
        Index low, high;
    };
    Extent extent() const;
};

/// What a call holds while it runs: objects that own memory, and on a GPU the stream and the device of its arrays.
struct Borrowed {
    py::list keep_alive;
    void* stream = nullptr;
    std::vector<void*> other_streams;  ///< of further arrays; what follows there is to wait for the call
    int device = -1;                   ///< -1: no array with elements was read yet
};

/// Reads the memory description of `object`; no copy. TypeError for what is no array on this backend's device, for
/// other dtypes, and for results such as InverseResult; ValueError for memory that is not aligned. Each backend has its
/// own.
Array read_array(py::handle object, const Argument& argument, Borrowed& borrowed);

/// The library an array belongs to: "numpy" (also for anything with the buffer protocol), "torch", "jax", ...
std::string library_of(py::handle object);

// For the readers of the backends:
std::optional<DType> dtype_from_dlpack(const dlpack::DataType& dtype);
void require_dimensions(Index ndim, const Argument& argument);
/// ValueError unless data and strides are whole elements.
void require_aligned(const Array& a, bool strides_are_whole);
/// DLPack's number of the kind of device that an array is on.
int dlpack_device_type(py::handle object, const Argument& argument);
/// The first part of the name of an object's module; "jax" for jaxlib.
std::string library_by_module(py::handle object);
/// Reads the tensor of an array that offers DLPack; `stream` is handed to the producer unless it is None.
Array read_dlpack(py::handle object, const py::object& stream, const Argument& argument, Borrowed& borrowed);
/// TypeError for NumPy's masked arrays, whose data are not what they mean.
void refuse_masked(const py::array& x, const Argument& argument);
/// The part of a result such as InverseResult that is an array, or null where the object is no result.
const char* part_that_was_meant(py::handle object);
[[noreturn]] void refuse_other_object(py::handle object, const Argument& argument);

}  // namespace curvblas
