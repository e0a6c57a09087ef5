#pragma once

#include <string>

#include "cuda/runtime.h"

namespace curvblas::CURVBLAS_BACKEND {

/// c += a b by the product "f64", "tf32", "f16" or "bf16"; false for any other name.
bool run_product(const std::string& kind, const double* a, const double* b, double* c);

}  // namespace curvblas::CURVBLAS_BACKEND
