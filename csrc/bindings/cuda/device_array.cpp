#include "bindings/cuda/device_array.h"

#include <pybind11/stl.h>

#include "bindings/cuda/stream.h"
#include "cuda/runtime.h"

namespace curvblas {
namespace {

/// The bytes from data + low up to data + high that the strides reach.
struct Reach {
    py::ssize_t low = 0, high;
};

Reach reach_of(const std::vector<py::ssize_t>& shape, const std::vector<py::ssize_t>& strides, py::ssize_t item) {
    Reach reach{0, item};
    for (std::size_t k = 0; k < shape.size(); ++k) {
        if (shape[k] == 0) return {0, 0};
        (strides[k] < 0 ? reach.low : reach.high) += strides[k] * (shape[k] - 1);
    }
    return reach;
}

}  // namespace

std::shared_ptr<std::byte> result_memory(const Queue& queue, std::size_t bytes) {
    void* const memory = CURVBLAS_BACKEND::allocate(bytes, queue.stream());
    return {static_cast<std::byte*>(memory), [device = queue.device()](std::byte* p) {
                // Others may give back what they took over by DLPack on threads that know nothing of Python.
                if (!PyGILState_Check()) return CURVBLAS_BACKEND::release_when_idle(p, device);
                const py::gil_scoped_release released;
                CURVBLAS_BACKEND::release_when_idle(p, device);
            }};
}

DeviceArray DeviceArray::to_device(const py::array& array) {
    const Borrowed nothing;
    const Queue queue = queue_for(nothing);
    DeviceArray made{nullptr, nullptr, array.dtype(), {}, {}, !array.writeable(), legacy_stream, queue.device()};
    made.shape.assign(array.shape(), array.shape() + array.ndim());
    made.strides.assign(array.strides(), array.strides() + array.ndim());
    const auto [low, high] = reach_of(made.shape, made.strides, array.itemsize());
    made.memory = result_memory(queue, static_cast<std::size_t>(high - low));
    made.data = made.memory.get() - low;
    const auto* const from = static_cast<const std::byte*>(array.data()) + low;
    const py::gil_scoped_release released;
    CURVBLAS_BACKEND::upload(made.memory.get(), from, static_cast<std::size_t>(high - low), queue.stream());
    return made;
}

py::array DeviceArray::to_host() const {
    const auto [low, high] = reach_of(shape, strides, dtype.itemsize());
    const auto bytes = static_cast<std::size_t>(high - low);
    const py::capsule owner(::operator new(bytes), [](void* p) { ::operator delete(p); });
    auto* const copy = static_cast<std::byte*>(owner.get_pointer());
    {
        const CURVBLAS_BACKEND::OnDevice current(device);
        const py::gil_scoped_release released;
        CURVBLAS_BACKEND::download(copy, data + low, bytes, stream);
    }
    return {dtype, shape, strides, copy - low, owner};
}

py::dict DeviceArray::interface() const {
    using namespace py::literals;
    const auto tuple = [](const std::vector<py::ssize_t>& values) { return py::tuple(py::cast(values)); };
    return py::dict("shape"_a = tuple(shape), "strides"_a = tuple(strides), "typestr"_a = dtype.attr("str"),
                    "data"_a = py::make_tuple(reinterpret_cast<std::uintptr_t>(data), read_only), "version"_a = 3,
                    "stream"_a = reinterpret_cast<std::uintptr_t>(stream));
}

void register_device_array(py::module_& m) {
    py::class_<DeviceArray>(m, "Array", py::module_local(), "An array in the memory of this backend's device.")
        .def_static("to_device", &DeviceArray::to_device, "A copy of a NumPy array, in its layout.")
        .def("to_host", &DeviceArray::to_host, "A NumPy array with the same contents and layout.")
        .def_property_readonly("__cuda_array_interface__", &DeviceArray::interface)
        .def(
            "__dlpack__",
            [](const DeviceArray& a, const py::object& stream, const py::object& max_version,
               const py::object& dl_device, const py::object& copy) {
                if (!copy.is_none() && copy.cast<bool>()) throw py::buffer_error("copies are not made here");
                if (!dl_device.is_none() && !dl_device.equal(py::make_tuple(int{dlpack::cuda}, a.device)))
                    throw py::buffer_error("arrays are exported on their own device only");
                return a.to_dlpack(stream, max_version);
            },
            py::kw_only(), py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
            py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
        .def("__dlpack_device__", [](const DeviceArray& a) { return py::make_tuple(int{dlpack::cuda}, a.device); })
        .def_property_readonly("shape", [](const DeviceArray& a) { return py::tuple(py::cast(a.shape)); })
        .def_property_readonly("ndim", [](const DeviceArray& a) { return a.shape.size(); })
        .def_readonly("dtype", &DeviceArray::dtype);
}

}  // namespace curvblas
