// The larger of two numbers, in line: fmax is a call for compilers that may not assume that there is no NaN.
#pragma once

#include "core/view.h"

namespace curvblas {

/// As fmax where a is not NaN: a NaN b is passed over.
CURVBLAS_DEVICE inline double larger(double a, double b) { return b > a ? b : a; }

}  // namespace curvblas
