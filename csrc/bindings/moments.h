// The Python face of the kernels that accumulate more than symmetric factors: arguments as in python/curvblas/ekfac.py
// and python/curvblas/recurrent.py. Written as bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object update_ekfac_moments(const py::object& second_moments, const py::object& A_rows, const py::object& G_rows,
                                const py::object& A_basis, const py::object& G_basis, const py::object& decay,
                                const py::object& scale, const py::object& bias, const py::object& copy);
py::object update_lagged_factors(const py::object& factors, const py::object& rows, const py::object& lag,
                                 const py::object& symmetric, const py::object& decay, const py::object& scale,
                                 const py::object& bias, const py::object& copy);

}  // namespace curvblas
