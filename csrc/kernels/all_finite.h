// Is there a NaN or an Inf anywhere in a group?
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// True if no element of any task is NaN or Inf; true for an empty group. A task is any memory seen as one set of rows;
/// the shape of the original does not matter. One pass; on the CPU it ends early where something is found. Waits for
/// the answer.
bool all_finite(const Queue& queue, std::span<const Rows> group);

}  // namespace curvblas::CURVBLAS_BACKEND
