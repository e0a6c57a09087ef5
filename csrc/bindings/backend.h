// What a binding needs of its backend beside the kernels.
#pragma once

#include <pybind11/pybind11.h>

#include "queue.h"

namespace curvblas {

/// The queue that the next kernel runs on.
CURVBLAS_BACKEND::Queue current_queue();

/// Registers what only this backend has: for the CPU the number of threads and the instruction set.
void register_backend(pybind11::module_& m);

}  // namespace curvblas
