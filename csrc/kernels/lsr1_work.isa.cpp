// See lsr1_work.h. Nothing but the table leaves this file.
#include "kernels/lsr1_work.h"

#include "kernels/lsr1_finish_lanes.isa.h"
#include "kernels/lsr1_form_lanes.isa.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

template <class Task>
void work(const Task& task, Index first, Index last) {
    for (Index k = first; k < last; ++k) task.work(k);
}
/// Models side by side; task.work does those that this leaves.
template <class Side, class Task>
void work_side_by_side(const Task& task, Index m, Index first, Index last) {
    for (Index k = first; k < last; k += side) {
        const Index count = last - k < side ? last - k : side;
        const unsigned done = m <= most_side_pairs ? Side(task, k, count).run() : 0;
        for (Index l = 0; l < count; ++l)
            if (!(done >> l & 1)) task.work(k + l);
    }
}
template <>
void work(const Lsr1Form& task, Index first, Index last) {
    work_side_by_side<SideForm>(task, task.factor.problems.m, first, last);
}
template <>
void work(const Lsr1Finish& task, Index first, Index last) {
    work_side_by_side<SideFinish>(task, task.solve.problems.m, first, last);
}

template <class... Tasks>
constexpr ElementRanges<Tasks...> compiled(const ElementRanges<Tasks...>&) {
    return {{work<Tasks>}...};
}

}  // namespace

extern const Lsr1Work lsr1_work;
const Lsr1Work lsr1_work = {compiled(Lsr1Work{})};

}  // namespace curvblas::cpu::CURVBLAS_ISA
