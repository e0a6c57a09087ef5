// The Python face of Kaldi's online natural gradient: arguments as in python/curvblas/online_natural_gradient.py.
// Written as bindings/kronecker.h says.
#pragma once

#include <pybind11/stl.h>

#include <vector>

#include "bindings/array.h"

namespace curvblas {

/// New, uninitialised arrays in the memory of X, a matrix each: what ong_step keeps in `rows`, `values` and `rho`.
py::tuple ong_memory(const py::list& X, const std::vector<Index>& columns, const std::vector<Index>& ranks,
                     bool is_list);

/// (X_hat, status). `is_list` says what X is called in errors; the numbers are the caller's to check.
py::tuple ong_step(const py::list& X, const std::vector<Index>& columns, bool is_list, const py::list& rows,
                   const py::list& values, const py::list& rho, const std::vector<double>& eta, bool updates,
                   const std::vector<Index>& passes, double alpha, double epsilon, double delta);

}  // namespace curvblas
