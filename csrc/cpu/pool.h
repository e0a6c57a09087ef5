// The process's one thread pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "core/view.h"

namespace curvblas::cpu {

/// Threads that share the items of one job. Workers spin shortly after a job and then sleep, so that other libraries'
/// threads get the cores; a worker that wakes too late is not waited for. A second caller does not wait: it runs its
/// job inline. After a fork the child starts with a new pool and takes no lock of the old one.
class Pool {
  public:
    using Item = void (*)(const void* context, Index item);

    static Pool& instance();

    /// The number of threads that work on a job, the caller included.
    int threads() const { return threads_.load(std::memory_order_relaxed); }
    /// Waits until the pool has no job; jobs that run inline go on. May exceed the number of cores.
    void resize(int threads);
    /// Calls item(context, i) once for every i in [0, count), in increasing order of start. Rethrows the first
    /// exception.
    void run(Index count, Item item, const void* context);

  private:
    void start_workers();
    void stop_workers();
    void wait_for_job(std::uint32_t seen) const;
    bool join_job();
    void leave_job();
    void close_job();
    void work_on_job();
    void worker_loop();

    static constexpr std::uint32_t open = 1u << 31;

    alignas(64) std::atomic<std::uint32_t> generation_{0};  // counts jobs; workers sleep on it
    alignas(64) std::atomic<std::uint32_t> gate_{0};        // `open`, plus the number of workers inside the job
    alignas(64) std::atomic<Index> next_{0};
    alignas(64) std::atomic<bool> busy_{false};
    std::atomic<bool> stopping_{false}, failed_{false};
    std::atomic<int> threads_{1};
    Index count_ = 0;
    Item item_ = nullptr;
    const void* context_ = nullptr;
    std::exception_ptr failure_;
    std::vector<std::thread> workers_;
};

}  // namespace curvblas::cpu
