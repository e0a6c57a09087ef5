// updated = decay C + scale sum_r w_r x_r x_r^T for all matrices of a group, wherever their rows x_r come from: rows in
// memory (update_factors) or the patches of a convolution. Half the products, one work list, the same bits for any
// number of threads.
#pragma once

#include "cpu/packed_sums.h"
#include "cpu/range_sums.h"

namespace curvblas::cpu {

template <class T, class Task, class Source>
class SecondMoments {
  public:
    SecondMoments(const Queue& queue, std::span<const Task> tasks) : group_{queue, tasks} {}

    void run() {
        RangeSums range_sums(group_);
        PackedSums packed_sums(group_);
        for (Index t = 0; t < static_cast<Index>(group_.tasks.size()); ++t) {
            if (group_.tasks[t].updated.batch == 0) continue;
            const MomentPlan<T> plan = group_.plan(t);
            plan.packed_once() ? packed_sums.append(t, plan) : range_sums.append(t, plan);
        }
        packed_sums.run();
        range_sums.run();
    }

    /// The scratch that run() holds at a time, over all threads.
    Index workspace_bytes() const {
        const RangeSums range_sums(group_);
        const PackedSums packed_sums(group_);
        Index own = 0, slots = 0, packed = 0;
        for (Index t = 0; t < static_cast<Index>(group_.tasks.size()); ++t) {
            const MomentPlan<T> plan = group_.plan(t);
            const Index batch = group_.tasks[t].updated.batch;
            const Index items =
                plan.packed_once() ? packed_sums.scratch_bytes(plan) : range_sums.scratch_bytes(t, plan);
            own = std::max(own, items + group_.source(t, 0).scratch_bytes());
            if (plan.packed_once())
                packed += batch * packed_sums.packed_bytes(t, plan);
            else
                slots += batch * range_sums.slots_bytes(plan);
        }
        constexpr Index most = MomentPlan<T>::shared_bytes;
        return own * Pool::instance().threads() + std::min(slots, most) + std::min(packed, most);
    }

  private:
    MomentGroup<T, Task, Source> group_;
};

}  // namespace curvblas::cpu
