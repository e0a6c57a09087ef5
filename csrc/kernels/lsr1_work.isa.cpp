// See lsr1_work.h. Nothing but the table leaves this file.
#include "kernels/lsr1_work.h"

namespace curvblas::cpu::CURVBLAS_ISA {
namespace {

template <class Task>
void work(const Task& task, Index first, Index last) {
    for (Index k = first; k < last; ++k) task.work(k);
}
template <class... Tasks>
constexpr ElementRanges<Tasks...> compiled(const ElementRanges<Tasks...>&) {
    return {{work<Tasks>}...};
}

}  // namespace

extern const Lsr1Work lsr1_work;
const Lsr1Work lsr1_work = {compiled(Lsr1Work{})};

}  // namespace curvblas::cpu::CURVBLAS_ISA
