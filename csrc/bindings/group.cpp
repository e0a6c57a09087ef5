#include "bindings/group.h"

#include <pybind11/gil_safe_call_once.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace curvblas {

const Range non_negative{[](double x) { return x >= 0 && std::isfinite(x); }, "a finite number >= 0"};
const Range positive{[](double x) { return x > 0 && std::isfinite(x); }, "a finite number > 0"};
const Range fraction{[](double x) { return x >= 0 && x <= 1; }, "a number in [0, 1]"};
const Range below_one{[](double x) { return x >= 0 && x < 1; }, "a number in [0, 1)"};
const Range finite{[](double x) { return std::isfinite(x); }, "a finite number"};

namespace {

bool is_list(py::handle object) { return PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()); }

/// True for instances of numpy.<name>, an abstract scalar type.
template <char... Name>
bool is_numpy(py::handle value) {
    constexpr char name[] = {Name..., 0};
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    type.call_once_and_store_result([&] { return py::module_::import("numpy").attr(name); });
    return PyObject_IsInstance(value.ptr(), type.get_stored().ptr()) == 1;
}

/// A Python number or a NumPy scalar (np.float64 is a Python float), not a bool and not a 0-d array.
bool is_number(py::handle value) {
    if (PyFloat_Check(value.ptr())) return true;
    if (PyBool_Check(value.ptr())) return false;
    return PyLong_Check(value.ptr()) || is_numpy<'f', 'l', 'o', 'a', 't', 'i', 'n', 'g'>(value) ||
           is_numpy<'i', 'n', 't', 'e', 'g', 'e', 'r'>(value);
}

bool is_bool(py::handle value) { return PyBool_Check(value.ptr()) || is_numpy<'b', 'o', 'o', 'l', '_'>(value); }

}  // namespace

// A list may be changed by another thread while the kernel runs without the GIL: its items are held, not the list.
py::tuple Call::kept_items(py::handle list) {
    const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(list.ptr()));
    if (!items) throw py::error_already_set();
    borrowed_.keep_alive.append(items);
    return items;
}

Array Call::read(py::handle object, const char* name, Index index) {
    const Argument argument{function_, name, index};
    const Array a = read_array(object, argument, borrowed_);
    if (Py_TYPE(object.ptr()) == type_) return a;
    const std::string library = library_of(object);
    if (library_.empty()) {
        library_ = library;
        type_ = Py_TYPE(object.ptr());
    } else if (library != library_) {
        wrong_type(argument.text(), " must be an array of ", library_, " like the arrays before it, got one of ",
                   library);
    }
    return a;
}

Group Call::group(py::handle object, const char* name) {
    Group group{is_list(object), {}};
    if (!group.ragged) {
        group.arrays.push_back(read(object, name, -1));
        return group;
    }
    const py::tuple items = kept_items(object);
    group.arrays.reserve(items.size());
    for (const py::handle item : items) group.arrays.push_back(read(item, name, group.size()));
    return group;
}

Group Call::one_array(py::handle object, const char* name) {
    if (is_list(object)) wrong_type(function_, ": ", name, " must be one array, got ", Py_TYPE(object.ptr())->tp_name);
    return group(object, name);
}

Group Call::group_like(const Group& model, const char* model_name, py::handle object, const char* name) {
    const bool is_array_or_list = is_list(object) || Py_TYPE(object.ptr()) == type_;
    const char* const part = is_array_or_list ? nullptr : part_that_was_meant(object);
    if (part)
        wrong_type(function_, ": ", name, " must be ", model.ragged ? "a list of arrays" : "one array", " like ",
                   model_name, ", got ", Py_TYPE(object.ptr())->tp_name, ": pass its .", part);
    if (is_list(object) != model.ragged)
        wrong_type(function_, ": ", name, " must be ", model.ragged ? "a list of arrays" : "one array", " like ",
                   model_name, ", got ", Py_TYPE(object.ptr())->tp_name);
    Group group = this->group(object, name);
    if (group.size() != model.size())
        wrong_value(function_, ": ", name, " must have one array for each of the ", model.size(), " of ", model_name,
                    ", got ", group.size());
    return group;
}

double Call::number(py::handle value, const char* name, const Range& range) const {
    if (!is_number(value))
        wrong_type(function_, ": ", name, " must be ", range.text, ", or one per matrix, got ",
                   Py_TYPE(value.ptr())->tp_name);
    const double x = PyFloat_AsDouble(value.ptr());
    if (x == -1 && PyErr_Occurred()) {  // an integer that no float64 holds
        PyErr_Clear();
        wrong_value(function_, ": ", name, " must be ", range.text, ", got an integer that is too large");
    }
    if (!range.holds(x)) wrong_value(function_, ": ", name, " must be ", range.text, ", got ", x);
    return x;
}

Numbers Call::parameter(py::handle value, const char* name, const Group& model, int inner, const Range& range) {
    const Index total = matrices_of(model, inner);
    if (is_list(value)) {
        const py::tuple entries = kept_items(value);
        const Index size = static_cast<Index>(entries.size());
        if (!model.ragged || size != model.size())
            wrong_value(function_, ": ", name, " must be ", range.text, ", or one per matrix (",
                        model.ragged ? sentence(model.size()) : "an array in the shape of the leading axes",
                        "), got a list of ", size);
        std::vector<double> values;
        for (const py::handle entry : entries)
            values.push_back(number(entry, sentence(name, "[", values.size(), "]").c_str(), range));
        return numbers(queue(), values);
    }
    const bool is_ndarray = py::isinstance<py::array>(value);
    const auto is_array = [&] {  // last: asking an object for what it has not is slow
        return is_ndarray || py::hasattr(value, "__dlpack__") || py::hasattr(value, "__cuda_array_interface__");
    };
    if (!is_ndarray && (is_number(value) || !is_array()))
        return numbers(queue(), std::vector<double>(static_cast<std::size_t>(total), number(value, name, range)));
    const auto require_shape = [&](int ndim, const auto* shape) {
        bool fits = ndim == 0 || (model.ragged && ndim == 1 && shape[0] == model.size());
        if (!fits && !model.ragged) {
            const Array& first = model.arrays[0];
            fits = ndim == first.ndim - inner;
            for (int k = 0; fits && k < ndim; ++k) fits = shape[k] == first.shape[k];
        }
        if (fits) return;
        std::string text;
        for (int k = 0; k < ndim; ++k) text += sentence(k ? ", " : "", shape[k]);
        wrong_value(function_, ": ", name, " must be a number or have one entry per matrix (",
                    model.ragged ? sentence("shape (", model.size(), ",)") : "the shape of the leading axes",
                    "), got shape (", text, ndim == 1 ? ",)" : ")");
    };
    if (is_ndarray) {  // in the host's memory, also beside arrays on a device
        const auto array = py::reinterpret_borrow<py::array>(value);
        refuse_masked(array, {function_, name});
        require_shape(static_cast<int>(array.ndim()), array.shape());
        const char kind = array.dtype().kind();
        const bool real = kind == 'f' && (array.dtype().itemsize() == 8 || array.dtype().itemsize() == 4);
        if (!real && kind != 'i' && kind != 'u')
            wrong_type(function_, ": ", name, " must be float64 or float32, got ",
                       py::str(array.dtype()).cast<std::string>());
        const auto values = py::array_t<double, py::array::c_style | py::array::forcecast>::ensure(array);
        if (!values) throw py::error_already_set();
        if (array.ndim() == 0)
            return numbers(queue(), std::vector<double>(static_cast<std::size_t>(total), *values.data()));
        return numbers(queue(), std::vector<double>(values.data(), values.data() + total));
    }
    const Array a = read_array(value, {function_, name}, borrowed_);
    require_shape(a.ndim, a.shape);
    if (a.dtype != DType::float64 && a.dtype != DType::float32)
        wrong_type(function_, ": ", name, " must be float64 or float32, got ", curvblas::name(a.dtype));
    return numbers(queue(), a, total);
}

bool Call::flag(py::handle value, const char* name) const {
    if (is_bool(value)) return PyObject_IsTrue(value.ptr()) == 1;
    wrong_type(function_, ": ", name, " must be True or False, got ", Py_TYPE(value.ptr())->tp_name);
}

Index Call::count(py::handle value, const char* name) const {
    constexpr Integers counts{0, std::numeric_limits<Index>::max(), "an integer >= 0",
                              "an integer >= 0 that fits 64 bits"};
    return integer(value, counts, [&] { return sentence(function_, ": ", name); });
}

std::vector<bool> Call::flags(py::handle value, const char* name, const Group& model) {
    const auto size = static_cast<std::size_t>(model.size());
    py::object source = py::reinterpret_borrow<py::object>(value);
    if (py::isinstance<py::array>(source) && source.attr("ndim").cast<int>() == 1) source = source.attr("tolist")();
    if (!is_list(source)) return std::vector<bool>(size, flag(source, name));
    const py::tuple entries = kept_items(source);
    if (!model.ragged || entries.size() != size)
        wrong_value(function_, ": ", name, " must be True or False, or a list with one of them for each of ", size,
                    " arrays, got a list of ", entries.size());
    std::vector<bool> values;
    for (const py::handle entry : entries) values.push_back(flag(entry, name));
    return values;
}

void require_square(const Group& group) {
    for (const Array& a : group.arrays) {
        const bool enough = group.ragged ? a.ndim == 2 : a.ndim >= 2;
        if (!enough || a.shape[a.ndim - 2] != a.shape[a.ndim - 1])
            wrong_value(a.argument.text(), " must have shape ", group.ragged ? "(n, n)" : "(..., n, n)", ", got ",
                        a.shape_text());
    }
}

DType require_real(const Group& group) {
    for (const Array& a : group.arrays) {
        if (a.dtype != DType::float32 && a.dtype != DType::float64)
            wrong_type(a.argument.text(), " must be float32 or float64, got ", name(a.dtype));
        if (a.dtype != group.arrays[0].dtype)
            wrong_type(a.argument.text(), " must be ", name(group.arrays[0].dtype), " like ",
                       group.arrays[0].argument.short_text(), ", got ", name(a.dtype));
    }
    return group.arrays.empty() ? DType::float64 : group.arrays[0].dtype;
}

void require_dtype(const Group& other, DType dtype, const char* model_name) {
    for (const Array& a : other.arrays)
        if (a.dtype != dtype)
            wrong_type(a.argument.text(), " must be ", name(dtype), " like ", model_name, ", got ", name(a.dtype));
}

void require_shapes_of(const Group& model, const Group& other) {
    for (std::size_t k = 0; k < model.arrays.size(); ++k) {
        const Array &m = model.arrays[k], &x = other.arrays[k];
        if (x.ndim != m.ndim || !std::equal(m.shape, m.shape + m.ndim, x.shape))
            wrong_value(x.argument.text(), " must have shape ", m.shape_text(), " like ", m.argument.short_text(),
                        ", got ", x.shape_text());
    }
}

void require_writable(const Group& group, const char* advice) {
    for (const Array& a : group.arrays)
        if (!a.writable) wrong_value(a.argument.text(), " must be writable, got a read-only array", advice);
}

void require_same_batch(const Array& a, int a_inner, const Array& b, int b_inner) {
    bool same = a.ndim - a_inner == b.ndim - b_inner;
    for (int k = 0; same && k < a.ndim - a_inner; ++k) same = a.shape[k] == b.shape[k];
    if (!same)
        wrong_value(b.argument.text(), " must have the leading axes of ", a.argument.short_text(), " with shape ",
                    a.shape_text(), ", got ", b.shape_text());
}

Array contiguous_like(const Array& a, DType dtype) {
    Array made = a;
    made.data = nullptr, made.dtype = dtype, made.writable = true;
    Index stride = 1;
    for (int k = a.ndim - 1; k >= 0; --k) made.strides[k] = stride, stride *= a.shape[k];
    return made;
}

Array contiguous_of(const std::vector<Index>& shape, DType dtype) {
    Array a{};
    for (const Index size : shape) a.shape[a.ndim++] = size;
    return contiguous_like(a, dtype);
}

Group as_rows(Group vectors) {
    for (Array& v : vectors.arrays) {
        v.shape[v.ndim] = v.shape[v.ndim - 1], v.strides[v.ndim] = v.strides[v.ndim - 1];
        v.shape[v.ndim - 1] = 1, ++v.ndim;
    }
    return vectors;
}

void require_state(const Group& group, DType dtype) {
    for (const Array& a : group.arrays) {
        Index stride = 1;
        bool fits = a.dtype == dtype && a.writable;
        for (int k = a.ndim - 1; k >= 0; stride *= a.shape[k--])
            fits = fits && (a.shape[k] <= 1 || a.strides[k] == stride);
        if (!fits)
            wrong_value(a.argument.text(), " of the state must be contiguous, writable and ", name(dtype), ", got ",
                        name(a.dtype), " of shape ", a.shape_text());
    }
}

Index bytes_of(const Group& group, DType dtype, Index alignment) {
    Index bytes = 0;
    for (const Array& a : group.arrays) bytes += padded_bytes(a, dtype, alignment);
    return bytes;
}

std::vector<Index> shape_per_matrix(const Group& model, int inner) {
    if (model.ragged) return {model.size()};
    const Array& a = model.arrays[0];
    return {a.shape, a.shape + a.ndim - inner};
}

bool single_stride(const Array& a, int inner, Index& stride) {
    stride = 0;
    Index count = 1;  // matrices that `stride` walks so far, from the last leading axis outwards
    for (int k = a.ndim - inner - 1; k >= 0; --k) {
        if (a.shape[k] == 1) continue;
        if (count == 1)
            stride = a.strides[k];
        else if (a.strides[k] != stride * count)
            return false;
        count *= a.shape[k];
    }
    return true;
}

Index offset_of(const Array& a, int inner, Index b) {
    Index offset = 0;
    for (int k = a.ndim - inner - 1; k >= 0; --k) {
        offset += b % a.shape[k] * a.strides[k];
        b /= a.shape[k];
    }
    return offset;
}

}  // namespace curvblas
