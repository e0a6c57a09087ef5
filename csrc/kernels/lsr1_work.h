// The tasks of limited-memory SR1 that are compiled once per instruction set (lsr1_work.isa.cpp): those of every model.
#pragma once

#include <type_traits>

#include "cpu/element_ranges.h"
#include "kernels/lsr1_gamma.h"
#include "kernels/lsr1_step.h"

namespace curvblas::cpu {

struct Lsr1Work
    : ElementRanges<Lsr1Begin<float>, Lsr1Begin<double>, Lsr1Curvature, Lsr1CurvatureAgain, Lsr1Gamma, Lsr1Factor,
                    Lsr1Invert, Lsr1Model, Lsr1Form, Lsr1Finish, Lsr1InvertProduct, Lsr1Multiply> {};

template <class Task>
    requires std::is_base_of_v<ElementRange<Task>, Lsr1Work>
struct CompiledElements<Task> {
    static const ElementRange<Task>& of(const Micro& micro) { return *micro.lsr1_work; }
};

}  // namespace curvblas::cpu
