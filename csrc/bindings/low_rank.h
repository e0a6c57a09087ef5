// The Python face of low-rank kernels: arguments as in python/curvblas/low_rank.py. Written as bindings/kronecker.h
// says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object gram(const py::object& rows);
/// (R R^T, R V).
py::tuple gram_products(const py::object& rows, const py::object& vectors);
py::object low_rank_solve(const py::object& basis, const py::object& values, const py::object& damping,
                          const py::object& grads, const py::object& out);

}  // namespace curvblas
