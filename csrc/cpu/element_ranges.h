// Small work of algorithms (kernels/for_each_element.h), a range of elements at a time.
#pragma once

#include "core/view.h"
#include "cpu/micro.h"

namespace curvblas::cpu {

/// Calls task.work(k) for k in [first, last).
template <class Task>
struct ElementRange {
    void (*work)(const Task& task, Index first, Index last);
};

/// Those of several tasks: a table of what is compiled once per instruction set.
template <class... Tasks>
struct ElementRanges : ElementRange<Tasks>... {};

/// Where the work of a task is compiled. Here: with the file that instantiates it; a table specialises it for its own.
template <class Task>
struct CompiledElements {
    static void work(const Task& task, Index first, Index last) {
        for (Index k = first; k < last; ++k) task.work(k);
    }
    static ElementRange<Task> of(const Micro&) { return {work}; }
};

}  // namespace curvblas::cpu
