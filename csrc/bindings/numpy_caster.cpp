// The CPU's arrays: NumPy, DLPack, the buffer protocol.
#include <optional>

#include "bindings/array.h"
#include "bindings/dlpack.h"

namespace curvblas {
namespace {

constexpr const char* accepted = "float64 or float32 (rows also float16 or bfloat16)";

// NumPy's type numbers are part of its ABI; ml_dtypes registers bfloat16 at run time.
std::optional<DType> dtype_from_numpy(const py::dtype& dtype) {
    constexpr int npy_float = 11, npy_double = 12, npy_half = 23, npy_first_user_type = 256;
    const char order = dtype.byteorder();
    if (order != '=' && order != '|') return std::nullopt;
    switch (dtype.num()) {
        case npy_double:
            return DType::float64;
        case npy_float:
            return DType::float32;
        case npy_half:
            return DType::float16;
        default:
            break;
    }
    if (dtype.num() >= npy_first_user_type && py::str(dtype).cast<std::string>() == "bfloat16") return DType::bfloat16;
    return std::nullopt;
}

std::optional<DType> dtype_from_dlpack(const dlpack::DataType& dtype) {
    if (dtype.lanes != 1) return std::nullopt;
    if (dtype.code == dlpack::code_bfloat && dtype.bits == 16) return DType::bfloat16;
    if (dtype.code != dlpack::code_float) return std::nullopt;
    if (dtype.bits == 64) return DType::float64;
    if (dtype.bits == 32) return DType::float32;
    if (dtype.bits == 16) return DType::float16;
    return std::nullopt;
}

void require_dimensions(Index ndim, const Argument& argument) {
    if (ndim > most_dimensions)
        wrong_value(argument.text(), " must have at most ", most_dimensions, " dimensions, got ", ndim);
}

void require_aligned(const Array& a, bool strides_are_whole) {
    const Index size = item_size(a.dtype);
    const bool aligned = reinterpret_cast<std::uintptr_t>(a.data) % static_cast<std::uintptr_t>(size) == 0;
    if (!(aligned && strides_are_whole) && a.size() > 0)
        wrong_value(a.argument.text(), " must be aligned to its item size of ", size, " bytes, got an unaligned view");
}

Array read_numpy(const py::array& x, const Argument& argument) {
    const auto dtype = dtype_from_numpy(x.dtype());
    if (!dtype)
        wrong_type(argument.text(), " must be ", accepted, " in native byte order, got dtype ",
                   py::str(x.dtype()).cast<std::string>());
    require_dimensions(x.ndim(), argument);
    Array a{const_cast<void*>(x.data()), *dtype, x.writeable(), static_cast<int>(x.ndim()), {}, {}, argument};
    const Index size = item_size(*dtype);
    bool aligned = true;
    for (int k = 0; k < a.ndim; ++k) {
        a.shape[k] = x.shape(k);
        a.strides[k] = x.strides(k) / size;
        aligned = aligned && (x.strides(k) % size == 0 || a.shape[k] < 2);
    }
    require_aligned(a, aligned);
    return a;
}

Array read_tensor(const dlpack::Tensor& tensor, bool writable, const Argument& argument) {
    const auto dtype = dtype_from_dlpack(tensor.dtype);
    if (!dtype)
        wrong_type(argument.text(), " must be ", accepted, ", got DLPack type code ", int{tensor.dtype.code}, " with ",
                   int{tensor.dtype.bits}, " bits");
    require_dimensions(tensor.ndim, argument);
    Array a{static_cast<std::byte*>(tensor.data) + tensor.byte_offset, *dtype, writable, tensor.ndim, {}, {}, argument};
    Index stride = 1;
    for (int k = tensor.ndim - 1; k >= 0; --k) {
        a.shape[k] = tensor.shape[k];
        a.strides[k] = tensor.strides ? tensor.strides[k] : stride;
        stride *= a.shape[k];
    }
    require_aligned(a, true);
    return a;
}

py::object export_capsule(py::handle object) {
    const auto export_ = object.attr("__dlpack__");
    try {
        return export_(py::arg("max_version") = py::make_tuple(1, 0));
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) throw;
        return export_();  // a producer from before DLPack 1.0
    }
}

py::object dlpack_capsule(py::handle object, const Argument& argument) {
    try {
        const auto device = object.attr("__dlpack_device__")().cast<py::tuple>();
        const int type = py::int_(device[0]).cast<int>();
        if (type != dlpack::cpu && type != dlpack::cuda_host)
            wrong_type(argument.text(), " must be in the CPU's memory like the rest of the call, got a ",
                       Py_TYPE(object.ptr())->tp_name, " on DLPack device type ", type);
        return export_capsule(object);
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_Exception)) throw;  // KeyboardInterrupt and the like are not about the array
        wrong_type(argument.text(), " must be exportable through DLPack, but its library refused: ",
                   py::str(error.value()).cast<std::string>());
    }
}

Array read_dlpack(py::handle object, const Argument& argument, py::list& keep_alive) {
    const py::object capsule = dlpack_capsule(object, argument);
    keep_alive.append(capsule);  // not consumed: its own destructor releases the tensor after the call
    const bool mutable_library = library_of(object) != "jax";
    if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
        const auto* m =
            static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
        return read_tensor(m->tensor, mutable_library && !(m->flags & dlpack::flag_read_only), argument);
    }
    if (PyCapsule_IsValid(capsule.ptr(), "dltensor"))
        return read_tensor(static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->tensor,
                           mutable_library, argument);
    wrong_type(argument.text(), " must export a DLPack capsule that nobody has consumed, got ",
               py::repr(capsule).cast<std::string>());
}

bool is_masked(const py::array& x) {
    return Py_TYPE(x.ptr()) != py::detail::npy_api::get().PyArray_Type_ && py::hasattr(x, "mask");
}

// Results of several parts are a frequent slip: naming the part that was meant saves a look into the manual.
const char* part_that_was_meant(py::handle object) {
    for (const char* part : {"inverse", "root", "vectors", "step", "solution"})
        if (py::hasattr(object, part) && py::hasattr(object, "status")) return part;
    return nullptr;
}

}  // namespace

std::string library_of(py::handle object) {
    if (py::isinstance<py::array>(object) || !py::hasattr(object, "__dlpack__")) return "numpy";
    const auto module = py::str(py::type::of(object).attr("__module__")).cast<std::string>();
    const std::string root = module.substr(0, module.find('.'));
    return root == "jaxlib" ? "jax" : root;
}

Array read_array(py::handle object, const Argument& argument, py::list& keep_alive) {
    if (py::isinstance<py::array>(object)) {
        const auto x = py::reinterpret_borrow<py::array>(object);
        if (is_masked(x)) wrong_type(argument.text(), " must be a plain array: masks are not supported");
        return read_numpy(x, argument);
    }
    if (py::hasattr(object, "__dlpack__")) return read_dlpack(object, argument, keep_alive);
    if (PyObject_CheckBuffer(object.ptr()) && !PyBytes_Check(object.ptr())) {
        const py::array view = py::array::ensure(object);
        if (!view) throw py::error_already_set();
        keep_alive.append(view);
        return read_numpy(view, argument);
    }
    const char* type = Py_TYPE(object.ptr())->tp_name;
    if (const char* part = part_that_was_meant(object))
        wrong_type(argument.text(), " must be an array or a list of arrays, got ", type, ": pass its .", part);
    wrong_type(argument.text(), " must be an array or a flat list of arrays, got ", type);
}

}  // namespace curvblas
