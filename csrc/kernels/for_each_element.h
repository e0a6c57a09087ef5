// Small work of algorithms, element by element: what takes a kernel's time is elsewhere.
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Calls task.work(k) for k < task.count() of every task. The elements need nothing of each other. `cost` is that of an
/// element, in the unit of Item::cost; it decides what is shared among threads, not what is computed. The definition is
/// in cpu/for_each_element.h and cuda/for_each_element.cuh, for the files that instantiate it for their tasks.
template <class Task>
void for_each_element(const Queue& queue, std::span<const Task> tasks, double cost = 10);

}  // namespace curvblas::CURVBLAS_BACKEND
