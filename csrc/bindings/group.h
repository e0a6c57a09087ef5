// Groups: the three forms in which matrices come (one, stacked, ragged), and the parameters that go with them.
#pragma once

#include <initializer_list>
#include <vector>

#include "bindings/array.h"
#include "bindings/backend.h"

namespace curvblas {

/// The matrices of one argument: one array (single or stacked), or the arrays of a list.
struct Group {
    bool ragged;
    std::vector<Array> arrays;

    Index size() const { return static_cast<Index>(arrays.size()); }
};

/// The product of the leading axes of an array whose last `inner` axes are a matrix, a set of rows, ...
inline Index batch_of(const Array& a, int inner) {
    Index batch = 1;
    for (int k = 0; k < a.ndim - inner; ++k) batch *= a.shape[k];
    return batch;
}

/// What has parameters and results of its own: each matrix of a stack, or each array of a list.
inline Index matrices_of(const Group& group, int inner) {
    return group.ragged ? group.size() : batch_of(group.arrays[0], inner);
}

/// The shape of an array with one entry per matrix: () for a single array, the leading axes of a stack, (k,) for a list
/// of k arrays.
std::vector<Index> shape_per_matrix(const Group& model, int inner);

/// The description of a new, contiguous array of this shape; its data is yet to come.
Array contiguous_like(const Array& a, DType dtype);
Array contiguous_of(const std::vector<Index>& shape, DType dtype);

/// Vectors (..., n) as matrices of one row.
Group as_rows(Group vectors);

/// ValueError unless these arrays, which a class keeps, are contiguous, writable and of this dtype.
void require_state(const Group& group, DType dtype);

/// The bytes of contiguous arrays of these shapes, each rounded up to a multiple of `alignment`.
inline Index padded_bytes(const Array& a, DType dtype, Index alignment) {
    return (a.size() * item_size(dtype) + alignment - 1) / alignment * alignment;
}
Index bytes_of(const Group& group, DType dtype, Index alignment);

/// The range of a parameter, with the words for it.
struct Range {
    bool (*holds)(double);
    const char* text;
};
extern const Range non_negative, positive, fraction, below_one, finite;

/// The integers in [least, most], with the words for them: what is asked for, and in which range.
struct Integers {
    Index least, most;
    const char *kind, *range;
};

/// A Python integer of any type with __index__ but bool. subject() begins the sentence of an error.
template <class Subject>
Index integer(py::handle value, const Integers& wanted, const Subject& subject) {
    // Bools are integers to Python; arrays and NumPy's bools have the method, and refuse when it is called.
    const auto exact =
        py::reinterpret_steal<py::object>(PyBool_Check(value.ptr()) ? nullptr : PyNumber_Index(value.ptr()));
    if (!exact) {
        PyErr_Clear();
        wrong_type(subject(), " must be ", wanted.kind, ", got ", Py_TYPE(value.ptr())->tp_name);
    }
    int overflow = 0;
    const Index number = PyLong_AsLongLongAndOverflow(exact.ptr(), &overflow);
    if (overflow || number < wanted.least || number > wanted.most)
        wrong_value(subject(), " must be ", wanted.range, ", got ", py::str(exact).cast<std::string>());
    return number;
}

/// One Python call: names the function in errors and keeps what the arrays borrow alive.
class Call {
  public:
    explicit Call(const char* function) : function_(function) {}
    ~Call() { hand_back(borrowed_); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /// Reads an argument; all arrays of a call must be of one library.
    Group group(py::handle object, const char* name);
    /// An argument that may not be a list.
    Group one_array(py::handle object, const char* name);
    /// The same in the form of `model`: a list of the same length, or an array.
    Group group_like(const Group& model, const char* model_name, py::handle object, const char* name);

    /// `total` numbers, one a matrix, from a number or one per matrix (for a stack: in the shape of its leading axes).
    /// Numbers out of `range` are errors; entries of arrays are not looked at: they are data.
    Numbers parameter(py::handle value, const char* name, const Group& model, int inner, const Range& range);
    /// One number, out of `range` an error.
    double number(py::handle value, const char* name, const Range& range) const;
    bool flag(py::handle value, const char* name) const;
    /// An integer >= 0, the same for the whole call.
    Index count(py::handle value, const char* name) const;
    /// One bool per array of the group, from one or from a list of them.
    std::vector<bool> flags(py::handle value, const char* name, const Group& model);
    /// Where its kernels run; known once the first array is read.
    Queue queue() const { return queue_for(borrowed_); }

  private:
    py::tuple kept_items(py::handle list);
    Array read(py::handle object, const char* name, Index index);

    const char* function_;
    std::string library_;
    PyTypeObject* type_ = nullptr;
    Borrowed borrowed_;
};

/// ValueError unless the last two axes of every array are equal; TypeError unless all are float32 or all float64.
void require_square(const Group& group);
DType require_real(const Group& group);
/// Calls f with a value of the C++ type that a dtype of factors stands for.
template <class F>
void with_real(DType dtype, const F& f) {
    dtype == DType::float32 ? f(float{}) : f(double{});
}
/// TypeError unless the arrays of `other` have this dtype.
void require_dtype(const Group& other, DType dtype, const char* model_name);
/// ValueError unless the arrays of `other` have the shapes of those of the model.
void require_shapes_of(const Group& model, const Group& other);
/// ValueError unless every array can be written; `advice` ends the sentence.
void require_writable(const Group& group, const char* advice);
/// ValueError unless the leading axes of `a` and `b` agree.
void require_same_batch(const Array& a, int a_inner, const Array& b, int b_inner);

/// The axes of a stack as one: false if its memory cannot be walked with a single stride.
bool single_stride(const Array& a, int inner, Index& stride);
/// Where matrix b of a stack begins, in elements.
Index offset_of(const Array& a, int inner, Index b);

/// Calls emit(k, count, first, matrix) for pieces of array k that `model` and `others` (empty ones are skipped) can all
/// walk with one stride: the whole stack in one piece, or each matrix in its own. `matrix` counts the matrices of the
/// group before the piece. The last two axes of the model are the matrix; the others have the same leading axes, and as
/// many inner ones as they like.
template <class Emit>
void for_each_stack(const Group& model, std::initializer_list<const Group*> others, const Emit& emit) {
    Index matrix = 0, stride;
    for (std::size_t k = 0; k < model.arrays.size(); ++k) {
        const int leading = model.arrays[k].ndim - 2;
        bool together = single_stride(model.arrays[k], 2, stride);
        for (const Group* other : others)
            if (!other->arrays.empty())
                together = together && single_stride(other->arrays[k], other->arrays[k].ndim - leading, stride);
        const Index batch = batch_of(model.arrays[k], 2), count = together ? batch : 1;
        for (Index first = 0; first < batch; first += count) emit(k, count, first, matrix + first);
        matrix += batch;
    }
}

/// A view of `batch` matrices from matrix `first` on.
template <class T>
Stack<T> stack(const Array& a, Index batch, Index first) {
    Index stride = 0;
    single_stride(a, 2, stride);
    const int i = a.ndim - 2, j = a.ndim - 1;
    T* const data = static_cast<T*>(a.data) + offset_of(a, 2, first);
    // A stride along an axis of one element means nothing, and may be any number: the BLAS wants a sensible one.
    const Index column_stride = a.shape[j] > 1 ? a.strides[j] : 1;
    const Index row_stride = a.shape[i] > 1 ? a.strides[i] : a.shape[j] > 0 ? a.shape[j] : 1;
    return {data, a.shape[i], a.shape[j], row_stride, column_stride, batch, stride};
}

}  // namespace curvblas
