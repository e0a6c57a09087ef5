// Small work of algorithms (kernels/for_each_element.h) that is compiled once per instruction set.
#pragma once

#include "core/view.h"

namespace curvblas::cpu {

/// Calls task.work(k) for k in [first, last).
template <class Task>
struct ElementRange {
    void (*work)(const Task& task, Index first, Index last);
};

template <class... Tasks>
struct ElementRanges : ElementRange<Tasks>... {};

}  // namespace curvblas::cpu
