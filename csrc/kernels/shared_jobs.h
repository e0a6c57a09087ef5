// Matrices that are large enough to keep the other threads waiting: all threads share their steps.
#pragma once

#include <memory>
#include <vector>

#include "cpu/scratch.h"
#include "queue.h"

namespace curvblas::cpu {

/// A Job has steps, begun by `bool next()`, of `parts()` parts each, done by `work(part)` in any order at `cost(part)`.
/// This does one on the calling thread.
template <class Job>
void run_alone(Job& job) {
    while (job.next())
        for (Index part = 0; part < job.parts(); ++part) job.work(part);
}

/// Jobs that all threads share.
template <class Job>
class SharedJobs {
  public:
    /// `bytes`: the memory of all jobs together.
    explicit SharedJobs(Index bytes) : memory_(bytes) {}

    /// Job(arguments..., memory of that many bytes).
    template <class... Arguments>
    void add(Index bytes, const Arguments&... arguments) {
        jobs_.push_back(std::make_unique<Job>(arguments..., memory_.template take<std::byte>(bytes)));
    }

    /// Calls work(item) for items, which have parts below 0, and does all jobs beside them. Empties `items`.
    template <class Work>
    void run(const Queue& queue, std::vector<Item>& items, const Work& work) {
        for (append_steps(items); !items.empty(); append_steps(items)) {
            queue.run(items, [&](const Item& item) {
                item.part < 0 ? work(item) : jobs_[static_cast<std::size_t>(item.task)]->work(item.part);
            });
            items.clear();
        }
    }

  private:
    void append_steps(std::vector<Item>& items) {
        for (std::size_t k = 0; k < jobs_.size(); ++k) {
            std::unique_ptr<Job>& job = jobs_[k];
            if (job && !job->next()) job.reset();
            for (Index part = 0; job && part < job->parts(); ++part)
                items.push_back({static_cast<Index>(k), 0, 1, part, job->cost(part)});
        }
    }

    Scratch<SharedJobs> memory_;
    std::vector<std::unique_ptr<Job>> jobs_;  ///< null when done
};

}  // namespace curvblas::cpu
