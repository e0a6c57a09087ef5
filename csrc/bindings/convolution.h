// The Python face of the convolution's factor. Arguments as in python/curvblas/convolution.py.
#pragma once

#include "bindings/array.h"

namespace curvblas {

py::object update_conv_factors(const py::object& factors, const py::object& inputs, const py::object& kernel_size,
                               const py::object& stride, const py::object& padding, const py::object& dilation,
                               const py::object& groups, const py::object& decay, const py::object& scale,
                               const py::object& bias, const py::object& copy);
py::object conv_workspace_bytes(const py::object& factors, const py::object& inputs, const py::object& kernel_size,
                                const py::object& stride, const py::object& padding, const py::object& dilation,
                                const py::object& groups, const py::object& bias);

}  // namespace curvblas
