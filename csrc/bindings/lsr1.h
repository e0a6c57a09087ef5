// The Python face of limited-memory SR1: arguments as in python/curvblas/quasi_newton.py. Written as
// bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// (step, multiplier, case, predicted reduction, status).
py::tuple lsr1_step(const py::object& S, const py::object& Y, const py::object& grad, const py::object& radius,
                    const py::object& gamma, const py::object& mask, const py::object& out);
/// The same for Psi and M_inv.
py::tuple trust_region_step(const py::object& Psi, const py::object& M_inv, const py::object& grad,
                            const py::object& radius, const py::object& gamma, const py::object& mask,
                            const py::object& out);
/// (B v, status).
py::tuple lsr1_matvec(const py::object& S, const py::object& Y, const py::object& gamma, const py::object& v,
                      const py::object& mask);

/// As lsr1_step and lsr1_matvec, of a memory (see bindings/pairs.h).
py::tuple lsr1_memory_step(const py::tuple& memory, const py::object& gamma, const py::object& grad,
                           const py::object& radius, const py::object& out);
py::tuple lsr1_memory_matvec(const py::tuple& memory, const py::object& gamma, const py::object& v);

}  // namespace curvblas
