// The process's one thread pool.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
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
    /// Which thread takes which items. `in_order`: the next one, so that the last ones should be short. `by_thread`:
    /// each thread begins with a stretch of its own, the same in every call of that count, whose memory its caches may
    /// still hold, and then helps the others.
    enum class Shares : std::uint8_t { in_order, by_thread };

    /// Calls item(context, i) once for every i in [0, count). Rethrows the first exception.
    void run(Index count, Item item, const void* context, Shares shares);

  private:
    void start_workers();
    void stop_workers();
    void wait_for_job(std::uint32_t seen) const;
    bool join_job();
    void leave_job();
    void close_job();
    void work_on_job(int thread);
    void worker_loop(int thread);

    static constexpr std::uint32_t open = 1u << 31;

    alignas(64) std::atomic<std::uint32_t> generation_{0};  // counts jobs; workers sleep on it
    alignas(64) std::atomic<std::uint32_t> gate_{0};        // `open`, plus the number of workers inside the job
    struct alignas(64) Share {
        std::atomic<Index> next{0};
        Index end = 0;
    };
    std::unique_ptr<Share[]> shares_;
    int share_count_ = 0;
    alignas(64) std::atomic<bool> busy_{false};
    std::atomic<bool> stopping_{false}, failed_{false};
    std::atomic<int> threads_{1}, caller_core_{-1};
    Item item_ = nullptr;
    const void* context_ = nullptr;
    std::exception_ptr failure_;
    std::vector<std::thread> workers_;
};

}  // namespace curvblas::cpu
