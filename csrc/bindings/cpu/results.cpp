#include "bindings/results.h"

#include <cstdlib>

#include "cpu/scratch.h"

namespace curvblas {

NewArrays new_arrays_like(const Queue&, const Group& model, DType dtype) {
    constexpr Index unit = 64;
    std::byte* const memory = cpu::allocate(bytes_of(model, dtype, unit));
    const py::capsule owner(memory, [](void* p) { std::free(p); });
    const py::dtype numpy_dtype = dtype == DType::float32 ? py::dtype::of<float>() : py::dtype::of<double>();
    return arrays_in(memory, model, dtype, unit, [&](const Array& a) {
        return py::array(numpy_dtype, std::vector<Index>(a.shape, a.shape + a.ndim), a.data, owner);
    });
}

template <class T>
PerMatrix<T> new_per_matrix(const Queue&, const Group& model, int inner) {
    using Element = std::conditional_t<std::is_same_v<T, Status>, std::int8_t, T>;
    py::array_t<Element> array(shape_per_matrix(model, inner));
    auto* const data = reinterpret_cast<T*>(array.mutable_data());
    return {std::move(array), data};
}

template PerMatrix<double> new_per_matrix(const Queue&, const Group&, int);
template PerMatrix<Status> new_per_matrix(const Queue&, const Group&, int);

}  // namespace curvblas
