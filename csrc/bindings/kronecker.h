// The Python face of the Kronecker-factor kernels: each function reads and checks its arguments, before anything is
// written, makes tasks of them, and calls one kernel with the GIL released. Arguments as in
// python/curvblas/kronecker.py.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object update_factors(const py::object& factors, const py::object& rows, const py::object& decay,
                          const py::object& scale, const py::object& weights, const py::object& bias,
                          const py::object& copy);
py::tuple factored_damping(const py::object& A, const py::object& G, const py::object& damping);
py::tuple factored_dampings(const py::object& factors, const py::object& damping);
/// (inverse, status, jitter, residual, log_det, index, minor, status): with on_failure="raise" the last three are about
/// the first failed matrix; index is -1 if there is none. With a warm_start that is not None, method="newton".
py::tuple damped_inverse(const py::object& factors, const py::object& damping, const py::object& warm_start,
                         const py::object& on_failure, const py::object& out);
bool all_finite(const py::object& arrays);

}  // namespace curvblas
