// The execution of a grid: one block after another, each CUDA thread a fibre, all on the calling OS thread.
//
// A thread runs until it waits: at a barrier, in a warp collective, or because it has ended. Then the next one of the
// ready queue runs. Barriers and collectives count the threads that have arrived; the last one makes the others ready,
// in the order that the schedule says.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "emu/fibre.h"
#include "emu/site.h"

namespace curvblas::emulator {

enum class Schedule : std::uint8_t { forward, reverse, random };
enum class Landing : std::uint8_t { early, late, random };

/// How the next kernels are run. A kernel that is right in only some of these is wrong.
struct Options {
    Schedule schedule = Schedule::forward;  ///< the order in which threads run after each barrier
    Landing landing = Landing::early;       ///< when asynchronous copies land: at issue, at the wait, by chance
    std::uint64_t seed = 0;
};
inline Options options;

struct Index3 {
    unsigned x, y, z;
    constexpr Index3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
    std::uint64_t count() const { return std::uint64_t{x} * y * z; }
};

/// An asynchronous copy that its thread has not waited for.
struct PendingCopy {
    std::byte* to;
    const std::byte* from;
    unsigned bytes;
    unsigned group;
    bool landed, zero;
    Site site;
};

struct Thread {
    Fibre fibre;
    Index3 index;
    unsigned number, lane, warp;
    enum : std::uint8_t { ready, in_barrier, in_collective, ended } state;
    Site waits_at;
    std::vector<PendingCopy> copies;
    unsigned open_group;
};

/// Lanes of one warp that wait for each other.
struct Collective {
    unsigned mask, arrived;
    Site site;
    const char* name;
    void* operands[32];
};

struct Warp {
    std::vector<Collective> open;
    unsigned live;   ///< lanes that have not ended
    unsigned epoch;  ///< counts full __syncwarps
};

/// The one kernel that runs now.
class Grid {
  public:
    using Body = void (*)(const void* arguments);

    /// Runs all blocks; throws what it finds.
    void run(const void* kernel, Index3 grid, Index3 block, std::size_t shared_bytes, Body body, const void* arguments);

    /// Whether an asynchronous copy that is issued now lands at once.
    bool lands_early();

    // What a thread of the kernel does:
    void barrier(Site site);
    /// Waits for the lanes of `mask`; the last one calls compute(operands of all lanes, mask).
    void collective(unsigned mask, const char* name, void* operands, void (*compute)(void* const*, unsigned),
                    Site site);
    void sync_warp(unsigned mask, Site site);
    [[noreturn]] void abandon(const std::string& what);

    Index3 grid, block, block_index;
    Thread* current = nullptr;        ///< null while host code runs
    const void* os_thread = nullptr;  ///< the one that runs the kernel; instrumented host code may run on others
    bool is_kernel() const { return current && os_thread == __builtin_thread_pointer(); }
    std::byte* shared = nullptr;
    std::size_t shared_bytes = 0;
    std::vector<Warp> warps;
    const void* kernel = nullptr;

    /// "thread (33,0,0) of block (2,0,0)"
    std::string who(unsigned thread) const;
    /// Whether p lies in the stack of any thread, or of the one that runs.
    bool in_stacks(const void* p) const { return stacks_.holds(p); }
    bool in_own_stack(const void* p) const {
        const auto* const end = stacks_.end(current->number);
        return p < end && p >= end - stack_bytes;
    }

  private:
    static void thread_main();
    void run_block();
    void end_thread();
    void switch_to_next();
    void make_ready(unsigned first, unsigned count, unsigned mask);
    void require_lanes(unsigned mask, const char* name, Site site);
    [[noreturn]] void report_deadlock();

    std::vector<Thread> threads_;
    std::vector<unsigned> ready_, order_;  // a ring of thread numbers; scratch for the order of the schedule
    std::size_t ready_begin_ = 0, ready_count_ = 0;
    Stacks stacks_;
    Fibre host_;
    unsigned live_ = 0, arrived_ = 0;
    Site barrier_site_;
    std::mt19937_64 random_;
    Body body_ = nullptr;
    const void* arguments_ = nullptr;
    std::string finding_;
};
inline Grid running;

}  // namespace curvblas::emulator
