#include "bindings/cuda/stream.h"

namespace curvblas {

void* stream_of(py::handle object, const py::object& entry, const Argument& argument) {
    if (entry.is_none()) {
        // PyTorch speaks version 2 of the interface, which has no streams; its arrays are made on its current one.
        if (library_of(object) != "torch") return nullptr;
        const py::object stream =
            py::module_::import("torch").attr("cuda").attr("current_stream")(object.attr("device"));
        void* const handle = PyLong_AsVoidPtr(stream.attr("cuda_stream").ptr());
        if (PyErr_Occurred()) throw py::error_already_set();
        return handle ? handle : legacy_stream;  // its default stream is the null handle
    }
    void* const handle = PyLong_Check(entry.ptr()) ? PyLong_AsVoidPtr(entry.ptr()) : nullptr;
    if (PyErr_Occurred()) PyErr_Clear();
    if (!handle)
        wrong_type(argument.text(), ".__cuda_array_interface__ must have 'stream' None, 1, 2 or a handle, got ",
                   py::repr(entry).cast<std::string>());
    return handle;
}

}  // namespace curvblas
