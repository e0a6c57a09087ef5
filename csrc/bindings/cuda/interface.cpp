// The arrays of a device: __cuda_array_interface__ (versions 2 and 3) and DLPack. Nothing that an object says of itself
// is believed before it was compared with the rest: a wrong stride would read, or write, somebody else's memory.
#include "bindings/array.h"
#include "bindings/cuda/stream.h"
#include "cuda/runtime.h"

namespace curvblas {
namespace {

using CURVBLAS_BACKEND::Allocation;
using CURVBLAS_BACKEND::allocation_of;
using CURVBLAS_BACKEND::order_after;

/// One entry of the interface, with the words for its errors.
class Interface {
  public:
    Interface(py::handle object, const Argument& argument) : argument_(argument) {
        try {
            const py::object entries = object.attr("__cuda_array_interface__");
            if (!py::isinstance<py::dict>(entries)) wrong("must be a dict", entries);
            entries_ = entries;
        } catch (py::error_already_set& error) {
            if (!error.matches(PyExc_Exception)) throw;
            wrong_type(argument.text(),
                       " must offer its memory, but its library refused: ", py::str(error.value()).cast<std::string>());
        }
    }

    py::object get(const char* key) const {
        return entries_.contains(key) ? py::reinterpret_borrow<py::object>(entries_[key]) : py::none();
    }
    [[noreturn]] void wrong(const std::string& expected, const py::object& got) const {
        wrong_type(argument_.text(), ".__cuda_array_interface__ ", expected, ", got ",
                   py::repr(got).cast<std::string>());
    }
    /// `count` integers, at least `least` each.
    void integers(const char* key, const py::object& value, std::size_t count, Index least, Index* to) const {
        const std::string expected =
            sentence("must have '", key, "' of ", count, " integers", least == 0 ? " >= 0" : "");
        if (!py::isinstance<py::tuple>(value) || py::len(value) != count) wrong(expected, value);
        for (const py::handle item : value) {
            if (!PyLong_Check(item.ptr()) || PyBool_Check(item.ptr())) wrong(expected, value);
            *to = PyLong_AsLongLong(item.ptr());
            if ((*to == -1 && PyErr_Occurred()) || *to < least) {
                PyErr_Clear();
                wrong(expected, value);
            }
            ++to;
        }
    }

  private:
    const Argument& argument_;
    py::dict entries_;
};

std::optional<DType> dtype_from_typestr(const std::string& typestr, py::handle object) {
    if (typestr == "<f8") return DType::float64;
    if (typestr == "<f4") return DType::float32;
    if (typestr == "<f2") return DType::float16;
    // NumPy has no letter for bfloat16: ml_dtypes calls it two bytes of anything.
    if (typestr != "<V2") return std::nullopt;
    const auto name = py::str(py::getattr(object, "dtype", py::none())).cast<std::string>();
    if (name == "bfloat16" || name == "torch.bfloat16") return DType::bfloat16;
    return std::nullopt;
}

void* pointer_from(const Interface& interface, bool& writable) {
    const py::object data = interface.get("data");
    const char* const expected = "must have 'data' of a pointer and whether it is read-only";
    if (!py::isinstance<py::tuple>(data) || py::len(data) != 2) interface.wrong(expected, data);
    const py::object pointer = py::tuple(data)[0], read_only = py::tuple(data)[1];
    if (!PyLong_Check(pointer.ptr()) || !PyBool_Check(read_only.ptr())) interface.wrong(expected, data);
    writable = read_only.ptr() == Py_False;
    const unsigned long long address = PyLong_AsUnsignedLongLong(pointer.ptr());
    if (PyErr_Occurred()) {
        PyErr_Clear();
        interface.wrong(expected, data);
    }
    return reinterpret_cast<void*>(address);
}

Array read_interface(py::handle object, const Argument& argument, void*& stream) {
    const Interface interface(object, argument);
    const py::object version = interface.get("version");
    if (!PyLong_Check(version.ptr()) || (version.cast<long long>() != 2 && version.cast<long long>() != 3))
        interface.wrong("must have 'version' 2 or 3", version);
    if (!interface.get("mask").is_none()) interface.wrong("must have no 'mask'", interface.get("mask"));
    const py::object typestr = interface.get("typestr");
    const auto dtype = py::isinstance<py::str>(typestr) ? dtype_from_typestr(typestr.cast<std::string>(), object)
                                                        : std::optional<DType>();
    if (!dtype)
        wrong_type(argument.text(), " must be ", accepted_dtypes, " in native byte order, got typestr ",
                   py::repr(typestr).cast<std::string>());

    const py::object shape = interface.get("shape");
    if (!py::isinstance<py::tuple>(shape)) interface.wrong("must have 'shape' of integers", shape);
    require_dimensions(static_cast<Index>(py::len(shape)), argument);
    Array a{nullptr, *dtype, true, static_cast<int>(py::len(shape)), {}, {}, argument};
    a.data = pointer_from(interface, a.writable);
    interface.integers("shape", shape, py::len(shape), 0, a.shape);
    const py::object strides = interface.get("strides");
    const Index size = item_size(*dtype);
    bool aligned = true;
    if (strides.is_none()) {
        Index stride = 1;
        for (int k = a.ndim - 1; k >= 0; --k) {
            a.strides[k] = stride;
            if (__builtin_mul_overflow(stride, a.shape[k], &stride)) stride = INT64_MAX;  // refused below
        }
    } else {
        interface.integers("strides", strides, py::len(shape), INT64_MIN, a.strides);
        for (int k = 0; k < a.ndim; ++k) {
            aligned = aligned && (a.strides[k] % size == 0 || a.shape[k] < 2);
            a.strides[k] /= size;
        }
    }
    require_aligned(a, aligned);
    stream = stream_of(object, interface.get("stream"), argument);
    return a;
}

py::object dlpack_stream(py::handle object, const Borrowed& borrowed, const Argument& argument, void*& stream) {
    const int type = dlpack_device_type(object, argument);
    if (type != dlpack::cuda && type != dlpack::cuda_managed)
        wrong_type(argument.text(), " must be on a CUDA device like the rest of the call, got a ",
                   Py_TYPE(object.ptr())->tp_name, " on DLPack device type ", type);
    // The producer makes the stream that it is told wait for its own.
    stream = borrowed.device < 0 ? stream_of(object, py::none(), argument) : borrowed.stream;
    if (!stream) stream = legacy_stream;
    return py::int_(reinterpret_cast<std::uintptr_t>(stream));
}

__extension__ using Wide = __int128;  // for sums of what a liar may say

/// The elements must lie in one allocation of the call's device.
void require_device_memory(const Array& a, Borrowed& borrowed) {
    Wide low = 0, high = item_size(a.dtype);  // bytes from data
    for (int k = 0; k < a.ndim; ++k) {
        if (a.shape[k] == 0) return;
        (a.strides[k] < 0 ? low : high) += Wide{a.strides[k]} * (a.shape[k] - 1) * item_size(a.dtype);
    }
    Allocation memory = allocation_of(a.data);
    if (memory.device < 0)
        wrong_value(a.argument.text(), " must be in the memory of a CUDA device, got the address ", a.data,
                    ", which is not");
    // Allocators may map neighbouring pieces of memory, of which the driver tells one at a time.
    const auto* const data = static_cast<const std::byte*>(a.data);
    while (data - memory.begin + high > memory.end - memory.begin) {
        const Allocation next = allocation_of(memory.end);
        if (next.device != memory.device || next.begin != memory.end) break;
        memory.end = next.end;
    }
    const Wide before = data - memory.begin, room = memory.end - memory.begin;
    const auto text = [](Wide bytes) { return sentence(static_cast<double>(bytes)); };
    if (before + low < 0 || before + high > room)
        wrong_value(a.argument.text(), " must lie within its allocation of ", memory.end - memory.begin,
                    " bytes, got shape ", a.shape_text(), " with strides that reach from byte ", text(before + low),
                    " to byte ", text(before + high));
    if (borrowed.device >= 0 && memory.device != borrowed.device)
        wrong_type(a.argument.text(), " must be on device ", borrowed.device, " like the arrays before it, got device ",
                   memory.device);
    borrowed.device = memory.device;
}

}  // namespace

std::string library_of(py::handle object) { return library_by_module(object); }

Array read_array(py::handle object, const Argument& argument, Borrowed& borrowed) {
    void* stream = nullptr;
    Array a = [&] {
        if (py::hasattr(object, "__cuda_array_interface__")) return read_interface(object, argument, stream);
        if (py::hasattr(object, "__dlpack__") && !py::isinstance<py::array>(object))
            return read_dlpack(object, dlpack_stream(object, borrowed, argument, stream), argument, borrowed);
        if (py::isinstance<py::array>(object) || PyObject_CheckBuffer(object.ptr()))
            wrong_type(argument.text(), " must be on a CUDA device like the rest of the call, got a ",
                       Py_TYPE(object.ptr())->tp_name, " in the CPU's memory");
        refuse_other_object(object, argument);
    }();
    require_device_memory(a, borrowed);
    if (!borrowed.stream)
        borrowed.stream = stream ? stream : legacy_stream;
    else if (stream && stream != borrowed.stream) {
        const CURVBLAS_BACKEND::OnDevice current(borrowed.device);
        order_after(borrowed.stream, stream);
        borrowed.other_streams.push_back(stream);
    }
    if (library_of(object) == "jax") a.writable = false;  // its arrays are immutable, whatever they say
    return a;
}

}  // namespace curvblas
