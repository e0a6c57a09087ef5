// The Python face of the packed form of symmetric matrices. Arguments as in python/curvblas/packing.py.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object pack_symmetric(const py::object& factors, const py::object& out);
py::object unpack_symmetric(const py::object& flat, const py::object& sizes, const py::object& out);

}  // namespace curvblas
