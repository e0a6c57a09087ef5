// What the Python faces of limited-memory quasi-Newton methods have in common: pairs, and the memory that keeps them.
#pragma once

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "algorithms/pair_memory.h"
#include "bindings/group.h"
#include "bindings/results.h"

namespace curvblas {

/// Pairs, and what else is given of the models: of a call, or those that a memory keeps.
struct Models {
    Group S, Y, mask;
    Numbers initial;
    double *products = nullptr, *ring = nullptr;

    /// `initial`, None or as Call::parameter, is called `name`.
    Models(Call& call, const py::object& pairs, const py::object& differences, const py::object& given_initial,
           const char* name, const Range& range, const py::object& given_mask);
    /// `memory` is what pair_memory made.
    Models(Call& call, const py::tuple& memory, const py::object& given_initial, const char* name, const Range& range);
    /// Other compact models: Y is Psi, and so is S, for shapes alone.
    Models(Call& call, const py::object& Psi, const py::object& gamma, const py::object& given_mask);

    DType dtype() const { return S.arrays[0].dtype; }
    /// Vectors, one a model, as matrices of one row: as long as S has columns, or rows.
    Group vectors(Call& call, const py::object& given, const char* name) const;
    Group per_pair(Call& call, const py::object& given, const char* name) const;

    template <class T>
    CURVBLAS_BACKEND::PairModels<T> some(Index count, Index first, Index matrix) const {
        const Index m = S.arrays[0].shape[S.arrays[0].ndim - 2];
        return {stack<const T>(S.arrays[0], count, first),
                stack<const T>(Y.arrays[0], count, first),
                mask.arrays.empty() ? Stack<const T>{} : stack<const T>(mask.arrays[0], count, first),
                ring ? ring + 2 * matrix : nullptr,
                products ? products + 4 * m * m * matrix : nullptr,
                initial ? &initial[matrix] : nullptr};
    }

  private:
    Group with_axis(Call& call, const py::object& given, const char* name, int axis) const;
};

/// New vectors like `rows`, which are called `name`, or `out`, unless it is None, which may not overlap the models, nor
/// `also`: the Python object without the axis of one row, and the view with it.
NewArrays new_vectors(Call& call, const Models& models, Group rows, const char* name,
                      const py::object& out = py::none(), const Group& also = {false, {}});

/// (S, Y, products, ring), new arrays in the memory of the vectors `like` (batch..., n) and of their dtype: S and Y
/// (batch..., m, n), their products (batch..., 2 m, 2 m) and the ring (batch..., 2), without pairs. `function` and
/// `name` are those of what the user called.
py::tuple pair_memory(const std::string& function, const std::string& name, const py::object& like,
                      const std::vector<Index>& batch, Index m, Index n);
/// (accepted, status), one a model, of pairs that are put into the memory: int8, 1 for those that were.
py::tuple lsr1_memory_update(const py::tuple& memory, const py::object& gamma, const py::object& s,
                             const py::object& y);
py::tuple lbfgs_memory_update(const py::tuple& memory, bool is_damped, const py::object& s, const py::object& y);

}  // namespace curvblas
