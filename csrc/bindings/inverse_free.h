// The Python face of inverse-free K-FAC. Arguments as in python/curvblas/inverse_free.py.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// (K, C, K_momentum, C_momentum): the arguments, or new arrays with copy.
py::tuple update_inverse_free(const py::object& K, const py::object& C, const py::object& A, const py::object& G,
                              const py::object& K_momentum, const py::object& C_momentum, const py::object& damping,
                              const py::object& step, const py::object& momentum, const py::object& rule,
                              const py::object& copy);

}  // namespace curvblas
