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
        Need ranged, packed;
        for (Index t = 0; t < static_cast<Index>(group_.tasks.size()); ++t) {
            const MomentPlan<T> plan = group_.plan(t);
            const Index batch = group_.tasks[t].updated.batch, source = group_.source(t, 0).scratch_bytes();
            if (plan.packed_once())
                packed.include(source + packed_sums.scratch_bytes(plan), packed_sums.packed_bytes(t, plan), batch);
            else
                ranged.include(source + range_sums.scratch_bytes(t, plan), range_sums.slots_bytes(plan), batch);
        }
        return ranged.bytes() + packed.bytes();
    }

  private:
    /// Of one of the two ways: threads keep their scratch, and the calling one what is shared.
    struct Need {
        Index own = 0, largest = 0, shared = 0;

        void include(Index of_item, Index of_matrix, Index batch) {
            own = std::max(own, of_item), largest = std::max(largest, of_matrix), shared += batch * of_matrix;
        }
        Index bytes() const {
            const Index together = std::min(shared, MomentPlan<T>::shared_bytes);
            return own * Pool::instance().threads() + std::max(largest, together);
        }
    };

    MomentGroup<T, Task, Source> group_;
};

}  // namespace curvblas::cpu
