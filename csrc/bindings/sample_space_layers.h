// The Python face of systems in the space of samples without a Jacobian: arguments as in
// python/curvblas/sample_space_layers.py. Written as bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object layer_gram(const py::object& A_rows, const py::object& G_rows, const py::object& bias);

/// (solution, status).
py::tuple sample_space_solve_layers(const py::object& A_rows, const py::object& G_rows, const py::object& rhs,
                                    const py::object& damping, const py::object& bias);

}  // namespace curvblas
