// How our device arrays go to other libraries: DLPack capsules, versioned or not.
#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"
#include "cuda/runtime.h"

namespace curvblas {
namespace {

/// What a capsule refers to; lives until its consumer calls the deleter.
template <class Managed>
struct Export {
    Managed managed;
    std::shared_ptr<std::byte> memory;
    std::vector<std::int64_t> shape, strides;
};

dlpack::DataType data_type(const py::dtype& dtype) {
    constexpr std::uint8_t code_int = 0;
    const bool bfloat = py::str(dtype).cast<std::string>() == "bfloat16";
    const std::uint8_t code = bfloat ? dlpack::code_bfloat : dtype.kind() == 'f' ? dlpack::code_float : code_int;
    if (!bfloat && dtype.kind() != 'f' && dtype.kind() != 'i')
        throw py::buffer_error(
            sentence("only arrays of numbers can be exported, got dtype ", py::str(dtype).cast<std::string>()));
    return {code, static_cast<std::uint8_t>(8 * dtype.itemsize()), 1};
}

template <class Managed>
py::capsule capsule(const DeviceArray& array, const char* name) {
    auto exported = std::make_unique<Export<Managed>>();
    exported->memory = array.memory;
    exported->shape.assign(array.shape.begin(), array.shape.end());
    for (const py::ssize_t stride : array.strides) exported->strides.push_back(stride / array.dtype.itemsize());
    Managed& managed = exported->managed;
    managed = {};
    managed.tensor = {array.data,
                      {dlpack::cuda, array.device},
                      static_cast<std::int32_t>(array.shape.size()),
                      data_type(array.dtype),
                      exported->shape.data(),
                      exported->strides.data(),
                      0};
    managed.context = exported.get();
    managed.deleter = [](Managed* m) { delete static_cast<Export<Managed>*>(m->context); };
    if constexpr (std::is_same_v<Managed, dlpack::ManagedVersioned>) {
        managed.major = 1, managed.minor = 0;
        managed.flags = array.read_only ? dlpack::flag_read_only : 0;
    }
    PyObject* const made = PyCapsule_New(&managed, name, [](PyObject* object) {
        // A consumer renames the capsule and takes over; one that nobody wanted is still called as we made it.
        for (const char* own : {"dltensor", "dltensor_versioned"})
            if (PyCapsule_IsValid(object, own)) {
                auto* const m = static_cast<Managed*>(PyCapsule_GetPointer(object, own));
                m->deleter(m);
            }
    });
    if (!made) throw py::error_already_set();
    exported.release();
    return py::reinterpret_steal<py::capsule>(made);
}

}  // namespace

py::capsule DeviceArray::to_dlpack(const py::object& stream_of_consumer, const py::object& max_version) const {
    constexpr long long no_order = -1;
    const long long consumer = stream_of_consumer.is_none() ? 1 : stream_of_consumer.cast<long long>();
    const CURVBLAS_BACKEND::OnDevice current(device);
    if (consumer != no_order) CURVBLAS_BACKEND::order_after(reinterpret_cast<void*>(consumer), stream);
    const bool versioned = !max_version.is_none() && max_version.cast<py::tuple>()[0].cast<int>() >= 1;
    if (versioned) return capsule<dlpack::ManagedVersioned>(*this, "dltensor_versioned");
    if (read_only) throw py::buffer_error("a read-only array can only be exported by DLPack 1.0 or later");
    return capsule<dlpack::Managed>(*this, "dltensor");
}

}  // namespace curvblas
