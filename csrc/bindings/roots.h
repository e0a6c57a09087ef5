// The Python face of matrix functions: arguments as in python/curvblas/roots.py. Written as bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// (root, status, residual)
py::tuple inverse_root(const py::object& factors, const py::object& p, const py::object& damping,
                       const py::object& method);
py::object newton_schulz(const py::object& matrices, const py::object& steps, const py::object& coefficients);

}  // namespace curvblas
