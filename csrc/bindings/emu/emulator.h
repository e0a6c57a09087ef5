// How Python drives the emulator: schedules, modes of asynchronous copies, findings, counters.
#pragma once

#include <pybind11/pybind11.h>

namespace curvblas {

void register_emulator(pybind11::module_& m);

}  // namespace curvblas
