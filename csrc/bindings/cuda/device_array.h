// Arrays in a device's memory that we own: what a call returns, and in development the way in and out of the device
// without any other library.
#pragma once

#include <memory>
#include <vector>

#include "bindings/array.h"
#include "bindings/backend.h"

namespace curvblas {

struct DeviceArray {
    std::shared_ptr<std::byte> memory;  ///< of this array, and perhaps of others of its group
    std::byte* data;
    py::dtype dtype;
    std::vector<py::ssize_t> shape, strides;  ///< strides in bytes, as in NumPy
    bool read_only;
    void* stream;  ///< on which its contents are made
    int device;

    /// A copy in the layout of a NumPy array.
    static DeviceArray to_device(const py::array& array);
    py::array to_host() const;
    py::dict interface() const;
    /// The consumer's stream is made to wait for ours; -1: it takes care of that itself.
    py::capsule to_dlpack(const py::object& stream_of_consumer, const py::object& max_version) const;
};

/// Memory for results. It goes back at the end of the last array that uses it, when the device is idle, because other
/// libraries may be using it on streams of their own.
std::shared_ptr<std::byte> result_memory(const Queue& queue, std::size_t bytes);

void register_device_array(py::module_& m);

}  // namespace curvblas
