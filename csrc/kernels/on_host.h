// What an algorithm has to know before it goes on.
#pragma once

#include <vector>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// The numbers, where the host can read them; a device is waited for.
std::vector<double> on_host(const Queue& queue, const double* numbers, Index count);

}  // namespace curvblas::CURVBLAS_BACKEND
