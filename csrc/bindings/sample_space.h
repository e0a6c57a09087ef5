// The Python face of systems in the space of samples: arguments as in python/curvblas/sample_space.py. Written as
// bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// (solution, status). `is_complex`: arrays are given as real ones with real and imaginary parts as neighbours.
py::tuple sample_space_solve(const py::object& jacobian, const py::object& rhs, const py::object& damping,
                             const py::object& previous, const py::object& momentum, bool is_complex);

}  // namespace curvblas
