// The Python face of Kalman filters of parameters: arguments as in python/curvblas/kalman.py. Written as
// bindings/kronecker.h says.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// A new flat array in the memory of `jacobian` and of its dtype: the first covariances of all blocks of `begins`, one
/// after the other, from `given` of that form, or (empty) with `variance` on the diagonals.
py::object kalman_memory(const py::object& jacobian, const py::array_t<Index>& begins, const py::array_t<double>& given,
                         double variance);

/// (update, status); `covariance` is updated in place. `begins` and the numbers are the caller's to check.
py::tuple kalman_step(const py::object& covariance, const py::object& jacobian, const py::object& error,
                      const py::object& noise, const py::array_t<Index>& begins, double fading);

}  // namespace curvblas
