// The CPU's arrays: NumPy, DLPack, the buffer protocol.
#include "bindings/array.h"

namespace curvblas {
namespace {

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

Array read_numpy(const py::array& x, const Argument& argument) {
    const auto dtype = dtype_from_numpy(x.dtype());
    if (!dtype)
        wrong_type(argument.text(), " must be ", accepted_dtypes, " in native byte order, got dtype ",
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

void require_cpu_device(py::handle object, const Argument& argument) {
    const int type = dlpack_device_type(object, argument);
    if (type != dlpack::cpu && type != dlpack::cuda_host)
        wrong_type(argument.text(), " must be in the CPU's memory like the rest of the call, got a ",
                   Py_TYPE(object.ptr())->tp_name, " on DLPack device type ", type);
}

}  // namespace

std::string library_of(py::handle object) {
    if (py::isinstance<py::array>(object) || !py::hasattr(object, "__dlpack__")) return "numpy";
    return library_by_module(object);
}

Array read_array(py::handle object, const Argument& argument, Borrowed& borrowed) {
    if (py::isinstance<py::array>(object)) {
        const auto x = py::reinterpret_borrow<py::array>(object);
        refuse_masked(x, argument);
        return read_numpy(x, argument);
    }
    if (py::hasattr(object, "__dlpack__")) {
        require_cpu_device(object, argument);
        return read_dlpack(object, py::none(), argument, borrowed);
    }
    if (PyObject_CheckBuffer(object.ptr()) && !PyBytes_Check(object.ptr())) {
        const py::array view = py::array::ensure(object);
        if (!view) throw py::error_already_set();
        borrowed.keep_alive.append(view);
        return read_numpy(view, argument);
    }
    refuse_other_object(object, argument);
}

}  // namespace curvblas
