// The Python face of the metrics of units: arguments as in python/curvblas/unitwise.py. Written as
// bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object update_unit_moments(const py::object& moments, const py::object& rows, const py::object& weights,
                               const py::object& decay, const py::object& scale, const py::object& bias,
                               const py::object& copy);
py::tuple accumulate_quasi_diagonal(const py::object& first_moments, const py::object& second_moments,
                                    const py::object& rows, const py::object& weights, const py::object& decay,
                                    const py::object& scale, const py::object& copy);
py::tuple solve_quasi_diagonal(const py::object& first_moments, const py::object& second_moments,
                               const py::object& grads, const py::object& damping, const py::object& floor,
                               const py::object& out);

}  // namespace curvblas
