#include "bindings/array.h"

namespace curvblas {
namespace {

Array read_tensor(const dlpack::Tensor& tensor, bool writable, const Argument& argument) {
    const auto dtype = dtype_from_dlpack(tensor.dtype);
    if (!dtype)
        wrong_type(argument.text(), " must be ", accepted_dtypes, ", got DLPack type code ", int{tensor.dtype.code},
                   " with ", int{tensor.dtype.bits}, " bits");
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

py::object export_capsule(py::handle object, const py::object& stream) {
    py::dict options;
    if (!stream.is_none()) options["stream"] = stream;
    const auto export_ = object.attr("__dlpack__");
    try {
        return export_(py::arg("max_version") = py::make_tuple(1, 0), **options);
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) throw;
        return export_(**options);  // a producer from before DLPack 1.0
    }
}

[[noreturn]] void refuse_what_its_library_refused(py::error_already_set& error, const Argument& argument) {
    if (!error.matches(PyExc_Exception)) throw;  // KeyboardInterrupt and the like are not about the array
    wrong_type(argument.text(), " must be exportable through DLPack, but its library refused: ",
               py::str(error.value()).cast<std::string>());
}

}  // namespace

// Results of several parts are a frequent slip: naming the part that was meant saves a look into the manual.
const char* part_that_was_meant(py::handle object) {
    if (!py::hasattr(object, "status")) return nullptr;
    for (const char* part : {"inverse", "root", "vectors", "step", "solution"})
        if (py::hasattr(object, part)) return part;
    return nullptr;
}

Array::Extent Array::extent() const {
    Extent reached{0, size() > 0 ? 1 : 0};
    for (int k = 0; k < ndim && reached.high > 0; ++k) {
        const Index reach = strides[k] * (shape[k] - 1);
        (reach < 0 ? reached.low : reached.high) += reach;
    }
    return reached;
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

int dlpack_device_type(py::handle object, const Argument& argument) {
    try {
        const auto device = object.attr("__dlpack_device__")().cast<py::tuple>();
        return py::int_(device[0]).cast<int>();
    } catch (py::error_already_set& error) {
        refuse_what_its_library_refused(error, argument);
    }
}

std::string library_by_module(py::handle object) {
    const auto module = py::str(py::type::of(object).attr("__module__")).cast<std::string>();
    const std::string root = module.substr(0, module.find('.'));
    return root == "jaxlib" ? "jax" : root;
}

Array read_dlpack(py::handle object, const py::object& stream, const Argument& argument, Borrowed& borrowed) {
    const py::object capsule = [&] {
        try {
            return export_capsule(object, stream);
        } catch (py::error_already_set& error) {
            refuse_what_its_library_refused(error, argument);
        }
    }();
    borrowed.keep_alive.append(capsule);  // not consumed: its own destructor releases the tensor after the call
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

void refuse_masked(const py::array& x, const Argument& argument) {
    if (Py_TYPE(x.ptr()) != py::detail::npy_api::get().PyArray_Type_ && py::hasattr(x, "mask"))
        wrong_type(argument.text(), " must be a plain array: masks are not supported");
}

void refuse_other_object(py::handle object, const Argument& argument) {
    const char* type = Py_TYPE(object.ptr())->tp_name;
    if (const char* part = part_that_was_meant(object))
        wrong_type(argument.text(), " must be an array or a list of arrays, got ", type, ": pass its .", part);
    wrong_type(argument.text(), " must be an array or a flat list of arrays, got ", type);
}

}  // namespace curvblas
