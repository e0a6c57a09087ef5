// The Python face of limited-memory SR1: arguments as in python/curvblas/quasi_newton.py. Written as
// bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// (step, multiplier, case, predicted reduction, status).
py::tuple lsr1_step(const py::object& S, const py::object& Y, const py::object& grad, const py::object& radius,
                    const py::object& gamma, const py::object& mask);
/// (B x, status).
py::tuple lsr1_matvec(const py::object& S, const py::object& Y, const py::object& gamma, const py::object& x,
                      const py::object& mask);

/// New arrays in the memory of the vector `like` and of its dtype: S and Y (m, n) and their products, without pairs.
py::tuple lsr1_memory(const py::object& like, Index m, Index n);
/// (accepted, status) of a pair; the memory, of which pair i is row (first + i) % m, is updated in place.
py::tuple lsr1_memory_update(const py::object& S, const py::object& Y, const py::object& products, Index first,
                             Index kept, const py::object& gamma, const py::object& s, const py::object& y);
/// As lsr1_step and lsr1_matvec, of that memory.
py::tuple lsr1_memory_step(const py::object& S, const py::object& Y, const py::object& products, Index first,
                           Index kept, const py::object& gamma, const py::object& grad, const py::object& radius);
py::tuple lsr1_memory_matvec(const py::object& S, const py::object& Y, const py::object& products, Index first,
                             Index kept, const py::object& gamma, const py::object& x);

}  // namespace curvblas
