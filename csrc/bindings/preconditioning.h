// The Python face of the two-sided products. Arguments as in python/curvblas/preconditioning.py.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object precondition(const py::object& grads, const py::object& A_inv, const py::object& G_inv,
                        const py::object& out);
/// (product, inner)
py::tuple precondition_with_inner(const py::object& grads, const py::object& A_inv, const py::object& G_inv,
                                  const py::object& out);
/// The values are None where second moments are given, and the other way round.
py::object precondition_eigen(const py::object& grads, const py::object& A_vectors, const py::object& G_vectors,
                              const py::object& A_values, const py::object& G_values, const py::object& second_moments,
                              const py::object& damping, const py::object& out);
/// (solution, status, residual); sign is 1 or -1. Arguments as in python/curvblas/kron_sum.py.
py::tuple kron_sum_solve(const py::object& A, const py::object& B, const py::object& C, const py::object& D,
                         const py::object& Z, double sign, const py::object& out);

}  // namespace curvblas
