// The Python face of Cholesky factors and of systems with them: arguments as in python/curvblas/cholesky.py. Written as
// bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// (factor, status, jitter, log_det, index, minor, status): as damped_inverse in bindings/kronecker.h.
py::tuple damped_cholesky(const py::object& factors, const py::object& damping, const py::object& on_failure,
                          const py::object& out);
py::object triangular_solve(const py::object& factors, const py::object& rhs, const py::object& transpose,
                            const py::object& out);
py::object cholesky_solve(const py::object& factors, const py::object& rhs, const py::object& out);

}  // namespace curvblas
