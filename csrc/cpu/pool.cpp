#include "cpu/pool.h"

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace curvblas::cpu {
namespace {

std::atomic<Pool*> process_pool{nullptr};
std::atomic<int> wanted_threads{1};

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

using std::chrono::microseconds;

// About what a sleep and a wake-up cost. PyTorch's products that alternated with our calls took no longer with it than
// without any spin.
constexpr microseconds between_jobs{20};
// While other threads still work on the same job, whose caller cannot run anything else.
constexpr microseconds within_job{500};

/// True as soon as `ready()` is; false after the time.
template <class Ready>
bool spin_until(microseconds time, Ready ready) {
    const auto end = std::chrono::steady_clock::now() + time;
    do {
        for (int i = 0; i < 32; ++i) {
            if (ready()) return true;
            pause();
        }
    } while (std::chrono::steady_clock::now() < end);
    return ready();
}

/// The core that runs this thread, or -1.
int current_core() {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

// Where cores share no cache that the system knows of, as in many virtual machines, a thread that is woken stays on the
// core that it last ran on, even if its caller works there and others are idle: 1,000 inverses of n = 4 took 19 us,
// not 13. A mask that somebody else sets in between is overwritten.
void leave_core([[maybe_unused]] int core) {
#if defined(__linux__)
    cpu_set_t allowed;
    if (core < 0 || sched_getcpu() != core || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    cpu_set_t others = allowed;
    CPU_CLR(static_cast<std::size_t>(core), &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
    sched_setaffinity(0, sizeof allowed, &allowed);
#endif
}

// The child of a fork has none of the pool's threads and perhaps a half-finished job: it forgets the pool, leaking it.
void forget_pool() { process_pool.store(nullptr); }

}  // namespace

Pool& Pool::instance() {
    Pool* pool = process_pool.load(std::memory_order_acquire);
    if (pool) return *pool;
    [[maybe_unused]] static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
    auto fresh = std::make_unique<Pool>();
    fresh->threads_ = wanted_threads.load();
    fresh->shares_ = std::make_unique<Share[]>(static_cast<std::size_t>(fresh->threads()));
    if (process_pool.compare_exchange_strong(pool, fresh.get())) pool = fresh.release();
    return *pool;
}

void Pool::resize(int threads) {
    auto shares = std::make_unique<Share[]>(static_cast<std::size_t>(std::max(1, threads)));
    while (busy_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
    stop_workers();
    threads_ = std::max(1, threads);
    shares_ = std::move(shares);
    wanted_threads = threads_.load();
    busy_.store(false, std::memory_order_release);
}

void Pool::run(Index count, Item item, const void* context, Shares shares) {
    const bool alone = threads() == 1 || count < 2 || busy_.exchange(true, std::memory_order_acquire);
    if (alone) {
        for (Index i = 0; i < count; ++i) item(context, i);
        return;
    }
    item_ = item, context_ = context, failure_ = nullptr;
    failed_.store(false, std::memory_order_relaxed);
    start_workers();
    share_count_ = shares == Shares::in_order ? 1 : threads();
    for (int s = 0; s < share_count_; ++s) {
        shares_[s].next.store(count * s / share_count_, std::memory_order_relaxed);
        shares_[s].end = count * (s + 1) / share_count_;
    }
    caller_core_.store(current_core(), std::memory_order_relaxed);
    gate_.store(open, std::memory_order_release);
    generation_.fetch_add(1, std::memory_order_release);
    const Index useful = std::min<Index>(count - 1, static_cast<Index>(workers_.size()));
    for (Index i = 0; i < useful; ++i) generation_.notify_one();
    work_on_job(0);
    close_job();
    const std::exception_ptr failure = failure_;
    busy_.store(false, std::memory_order_release);
    if (failure) std::rethrow_exception(failure);
}

void Pool::start_workers() {
    try {
        while (static_cast<int>(workers_.size()) < threads() - 1) {
            const int thread = static_cast<int>(workers_.size()) + 1;
            workers_.emplace_back([this, thread] { worker_loop(thread); });
        }
    } catch (const std::exception&) {
        // The system gives no more threads: fewer do the same work.
    }
}

void Pool::stop_workers() {
    stopping_ = true;
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_ = false;
}

void Pool::worker_loop(int thread) {
    for (;;) {
        // Read before `stopping_` and the gate: what is announced after this wakes the wait below.
        const std::uint32_t seen = generation_.load(std::memory_order_acquire);
        if (stopping_) return;
        leave_core(caller_core_.load(std::memory_order_relaxed));
        if (join_job()) {
            work_on_job(thread);
            leave_job();
        }
        wait_for_job(seen);
    }
}

void Pool::wait_for_job(std::uint32_t seen) const {
    const auto changed = [&] { return generation_.load(std::memory_order_acquire) != seen; };
    const auto ended = [&] { return changed() || !busy_.load(std::memory_order_acquire); };
    spin_until(within_job, ended);
    while (!spin_until(between_jobs, changed)) generation_.wait(seen, std::memory_order_acquire);
}

bool Pool::join_job() {
    std::uint32_t gate = gate_.load(std::memory_order_acquire);
    while (gate & open)
        if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) return true;
    return false;
}

void Pool::leave_job() {
    if (gate_.fetch_sub(1, std::memory_order_acq_rel) == 1) gate_.notify_all();
}

void Pool::close_job() {
    gate_.fetch_and(~open, std::memory_order_acq_rel);
    const auto empty = [&] { return gate_.load(std::memory_order_acquire) == 0; };
    while (!spin_until(within_job, empty)) {
        const std::uint32_t gate = gate_.load(std::memory_order_acquire);
        if (gate != 0) gate_.wait(gate, std::memory_order_acquire);
    }
}

void Pool::work_on_job(int thread) {
    try {
        for (int s = 0; s < share_count_; ++s) {
            Share& share = shares_[(thread + s) % share_count_];
            for (Index i; (i = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) item_(context_, i);
        }
    } catch (...) {
        if (!failed_.exchange(true)) failure_ = std::current_exception();
        for (int s = 0; s < share_count_; ++s) shares_[s].next.store(shares_[s].end, std::memory_order_relaxed);
    }
}

}  // namespace curvblas::cpu
