// The Python face of Kaldi's simple preconditioner. Written as bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// X_hat, or `out`.
py::object simple_natural_gradient(const py::object& rows, const py::object& alpha, const py::object& out);

}  // namespace curvblas
