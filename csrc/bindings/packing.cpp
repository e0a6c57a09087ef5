#include "bindings/packing.h"

#include <algorithm>

#include "bindings/group.h"
#include "bindings/memory.h"
#include "bindings/results.h"
#include "kernels/pack_symmetric.h"

namespace curvblas {
namespace {

namespace kernels = CURVBLAS_BACKEND;

Index packed_length(const Group& matrices) {
    constexpr Index too_many = Index{1} << 62;  // no array has as many elements, and sums of two do not overflow
    Index length = 0;
    for (const Array& a : matrices.arrays) {
        const Index one = kernels::triangle(a.shape[a.ndim - 1]), batch = batch_of(a, 2);
        length = one > 0 && batch > (too_many - length) / one ? too_many : length + one * batch;
    }
    return length;
}

/// ValueError unless `flat` is one axis with as many elements as the packed form of the group.
void require_packed(const Array& flat, const Group& matrices, const char* matrices_name) {
    const Index length = packed_length(matrices);
    if (flat.ndim == 1 && flat.shape[0] == length) return;
    wrong_value(flat.argument.text(), " must have shape (", length,
                ",), one element for each on or below the diagonals of ", matrices_name, ", got ", flat.shape_text());
}

Index size_from(py::handle value, const Argument& argument) {
    // The largest whose packed form has a length that fits an Index.
    constexpr Index most = 0x7fffffff;
    const char* const kind = argument.index < 0 ? "an int >= 0, or a list of them" : "an int >= 0";
    return integer(value, {0, most, kind, "in 0 ... 2147483647"}, [&] { return argument.text(); });
}

/// The shapes that the sizes stand for, without memory: one matrix for an int, a ragged group for a list.
Group matrices_of_sizes(py::handle sizes, const char* function) {
    Group matrices{PyList_Check(sizes.ptr()) || PyTuple_Check(sizes.ptr()), {}};
    const auto append = [&](py::handle size, Index index) {
        const Argument argument{function, "sizes", index};
        const Index n = size_from(size, argument);
        matrices.arrays.push_back({nullptr, DType::float64, true, 2, {n, n}, {n, 1}, argument});
    };
    if (!matrices.ragged) {
        append(sizes, -1);
        return matrices;
    }
    const auto entries = py::reinterpret_steal<py::tuple>(PySequence_Tuple(sizes.ptr()));
    if (!entries) throw py::error_already_set();
    for (const py::handle size : entries) append(size, matrices.size());
    return matrices;
}

/// ValueError unless the arrays of `out` have the sizes asked for; a single size stands for all matrices of a stack.
void require_sizes(const Group& out, const Group& sizes) {
    require_square(out);
    for (std::size_t k = 0; k < out.arrays.size(); ++k) {
        const Array& a = out.arrays[k];
        const Index n = sizes.arrays[k].shape[0];
        if (a.shape[a.ndim - 1] != n)
            wrong_value(a.argument.text(), " must have shape (", out.ragged ? "" : "..., ", n, ", ", n, ") for ",
                        sizes.arrays[k].argument.short_text(), " = ", n, ", got ", a.shape_text());
    }
}

}  // namespace

py::object pack_symmetric(const py::object& factors, const py::object& out) {
    constexpr const char* function = "pack_symmetric";
    Call call(function);
    const Group C = call.group(factors, "factors");
    require_square(C);
    const DType dtype = require_real(C);
    const auto packed = [&]() -> NewArrays {
        if (out.is_none()) {
            const Array flat{nullptr, dtype, true, 1, {packed_length(C)}, {1}, {function, "out"}};
            return new_arrays_like(call.queue(), {false, {flat}}, dtype);
        }
        NewArrays given{out, call.one_array(out, "out")};
        require_dtype(given.group, dtype, "factors");
        require_packed(given.group.arrays[0], C, "factors");
        require_output(given.group, {&C});
        return given;
    }();
    const Array& flat = packed.group.arrays[0];
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::PackSymmetric<T>> tasks;
        Index position = 0;
        for_each_stack(C, {}, [&](std::size_t k, Index count, Index first, Index) {
            const auto matrices = stack<const T>(C.arrays[k], count, first);
            tasks.push_back({matrices, flat.as<T>() + position * flat.strides[0], flat.strides[0]});
            position += count * kernels::triangle(matrices.rows);
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::pack_symmetric<T>(queue, tasks);
    });
    return packed.object;
}

py::object unpack_symmetric(const py::object& flat, const py::object& sizes, const py::object& out) {
    constexpr const char* function = "unpack_symmetric";
    Call call(function);
    const Group packed = call.one_array(flat, "flat");
    const DType dtype = require_real(packed);
    const Group asked = matrices_of_sizes(sizes, function);
    const auto C = [&]() -> NewArrays {
        if (out.is_none()) {
            require_packed(packed.arrays[0], asked, "matrices of these sizes");
            return new_arrays_like(call.queue(), asked, dtype);
        }
        NewArrays given{out, call.group_like(asked, "sizes", out, "out")};
        require_dtype(given.group, dtype, "flat");
        require_sizes(given.group, asked);
        require_packed(packed.arrays[0], given.group, "out");
        require_output(given.group, {&packed});
        return given;
    }();
    const Array& x = packed.arrays[0];
    with_real(dtype, [&](auto real) {
        using T = decltype(real);
        std::vector<kernels::UnpackSymmetric<T>> tasks;
        Index position = 0;
        for_each_stack(C.group, {}, [&](std::size_t k, Index count, Index first, Index) {
            const auto matrices = stack<T>(C.group.arrays[k], count, first);
            tasks.push_back({x.as<const T>() + position * x.strides[0], x.strides[0], matrices});
            position += count * kernels::triangle(matrices.rows);
        });
        const Queue queue = call.queue();
        const py::gil_scoped_release released;
        kernels::unpack_symmetric<T>(queue, tasks);
    });
    return C.object;
}

}  // namespace curvblas
