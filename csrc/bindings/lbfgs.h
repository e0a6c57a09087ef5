// The Python face of limited-memory BFGS: arguments as in python/curvblas/quasi_newton.py. Written as
// bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object lbfgs_direction(const py::object& S, const py::object& Y, const py::object& grad,
                           const py::object& initial_inverse, const py::object& mask, const py::object& out);
/// The same, of a memory (see bindings/pairs.h).
py::object lbfgs_memory_direction(const py::tuple& memory, const py::object& grad, const py::object& out);

}  // namespace curvblas
