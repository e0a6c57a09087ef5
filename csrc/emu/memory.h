// The memory of the emulated device: an arena of exact allocations, whose addresses can be used only while a kernel
// runs, and one block's shared memory, which ends at a protected page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace curvblas::emulator {

class Memory {
  public:
    struct Allocation {
        std::byte *begin, *end;
        std::size_t room;  ///< what it takes of the arena
    };

    static Memory& instance();

    /// NaN-filled memory of exactly this size, 256-byte aligned, with nothing of use on either side.
    std::byte* allocate(std::size_t bytes);
    void release(std::byte* begin);
    /// The live allocation that holds p; empty if there is none.
    Allocation find(const void* p) const;
    /// The same while other OS threads may allocate.
    Allocation find_from_host(const void* p) {
        const std::lock_guard lock(mutex_);
        return find(p);
    }
    /// The nearest one that ends before p, if it is not far.
    Allocation find_before(const void* p) const;
    bool holds(const void* p) const { return p >= arena_ && p < arena_ + arena_bytes; }
    std::size_t offset(const void* p) const { return static_cast<const std::byte*>(p) - arena_; }

    std::byte* take_shared(std::size_t bytes);
    /// Also what lies before and after the bytes that were taken, for accesses that miss them.
    bool holds_shared(const void* p) const { return p >= shared_end_ - most_shared - page && p < shared_end_ + page; }

    /// Copies by the host, which sees the arena at other addresses.
    void upload(std::byte* to, const void* from, std::size_t bytes);
    void download(void* to, const std::byte* from, std::size_t bytes);

    /// While one lives, kernels can use the addresses; no other OS thread has one, or copies.
    class Open {
      public:
        explicit Open(Memory& memory);
        ~Open();
        Open(const Open&) = delete;
        Open& operator=(const Open&) = delete;

      private:
        Memory& memory_;
        std::lock_guard<std::mutex> lock_;
    };

    static constexpr std::size_t arena_bytes = std::size_t{8} << 30, granule = 256, most_shared = 227 << 10,
                                 page = 4 << 10;

  private:
    Memory();
    void protect(int protection);
    void lower_top();
    std::byte* host_view(const std::byte* address) const { return host_arena_ + offset(address); }

    std::byte *arena_, *host_arena_, *shared_end_;
    std::size_t top_ = 0;
    std::mutex mutex_;
    std::vector<std::uint32_t> owner_;  // of each granule up to top_: 1 + index into allocations_, or 0
    std::vector<Allocation> allocations_;
    std::vector<std::uint32_t> free_indices_;
    using Free = std::multimap<std::size_t, std::byte*>;
    Free free_;                                        // by room
    std::map<const std::byte*, Free::iterator> ends_;  // of what is free
};

}  // namespace curvblas::emulator
