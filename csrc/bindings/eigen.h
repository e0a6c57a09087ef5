// The Python face of the eigenproblems. Arguments as in python/curvblas/eigen.py.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// (values, vectors, status, residual)
py::tuple eigenbasis(const py::object& factors, const py::object& warm_start);

}  // namespace curvblas
