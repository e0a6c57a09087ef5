// The Python face of TONGA: arguments as in python/curvblas/tonga.py. Written as bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// New, uninitialised arrays in the memory of `gradients`, for `slots` rows and the blocks of `begins`: what tonga_step
/// keeps in `basis`, `squares` and `damping`.
py::tuple tonga_memory(const py::object& gradients, Index slots, const py::array_t<Index>& begins);

/// (v, status, gradients in the window afterwards). `begins` (blocks + 1) and the numbers are the caller's to check.
py::tuple tonga_step(const py::object& basis, const py::object& squares, const py::object& damping,
                     const py::object& gradients, const py::array_t<Index>& begins, Index rank, double decay,
                     double initial_damping, double min_damping, double factor, Index count, bool is_new);

}  // namespace curvblas
