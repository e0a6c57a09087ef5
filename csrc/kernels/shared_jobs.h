// Matrices that are large enough to keep the other threads waiting: all threads share their steps.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
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

/// Jobs that all threads share: those that are done together begin their steps together, on the calling thread, while
/// the others wait, and a step ends when the last part of all of them has.
template <class Job>
class SharedJobs {
  public:
    using Make = std::function<std::unique_ptr<Job>(std::byte* memory)>;

    /// At least `together` jobs are done together, however much memory they need: as many as there are threads where
    /// a job has steps of one part.
    explicit SharedJobs(Index together) : together_(static_cast<std::size_t>(together)) {}

    /// A job that needs so many bytes, 64-byte aligned; it is made when its turn comes.
    void add(Index bytes, Make make) { waiting_.push_back({bytes, std::move(make)}); }

    /// Calls work(item) for items, which have parts below 0, and does all jobs beside them. Empties `items`, and
    /// the jobs are gone.
    template <class Work>
    void run(const Queue& queue, std::vector<Item>& items, const Work& work) {
        Scratch<SharedJobs> memory(most_bytes());
        std::byte* const begin = memory.template take<std::byte>(most_bytes());
        for (std::size_t next = 0; next < waiting_.size() || !items.empty();) {
            next = make_some(next, begin);
            for (append_steps(items); !items.empty(); append_steps(items)) {
                queue.run(items, [&](const Item& item) {
                    item.part < 0 ? work(item) : jobs_[static_cast<std::size_t>(item.task)]->work(item.part);
                });
                items.clear();
            }
        }
        waiting_.clear();
    }

  private:
    struct Waiting {
        Index bytes;
        Make make;
    };
    /// Jobs whose memory together exceeds it wait for each other, because memory that is used again need not be
    /// cleared by the system: the inverses of ResNet-50's factors, of up to 85 MiB each, took 1.64 s instead of 1.94.
    static constexpr Index enough = Index{128} << 20;

    /// The end, in waiting_, of those that are done together, and what they need.
    std::size_t end_of_some(std::size_t first, Index& bytes) const {
        std::size_t k = first;
        for (bytes = 0; k < waiting_.size() && (k < first + together_ || bytes + waiting_[k].bytes <= enough); ++k)
            bytes += padded(waiting_[k].bytes);
        return k;
    }
    Index most_bytes() const {
        Index most = 0, bytes = 0;
        for (std::size_t k = 0; k < waiting_.size(); most = std::max(most, bytes)) k = end_of_some(k, bytes);
        return most;
    }
    std::size_t make_some(std::size_t first, std::byte* memory) {
        Index bytes;
        const std::size_t end = end_of_some(first, bytes);
        jobs_.clear();
        for (std::size_t k = first; k < end; memory += padded(waiting_[k++].bytes))
            jobs_.push_back(waiting_[k].make(memory));
        return end;
    }

    void append_steps(std::vector<Item>& items) {
        for (std::size_t k = 0; k < jobs_.size(); ++k) {
            std::unique_ptr<Job>& job = jobs_[k];
            if (job && !job->next()) job.reset();
            for (Index part = 0; job && part < job->parts(); ++part)
                items.push_back({static_cast<Index>(k), 0, 1, part, job->cost(part)});
        }
    }

    const std::size_t together_;
    std::vector<Waiting> waiting_;
    std::vector<std::unique_ptr<Job>> jobs_;  ///< null when done
};

}  // namespace curvblas::cpu
