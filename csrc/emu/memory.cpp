#include "emu/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "emu/check.h"
#include "emu/finding.h"

namespace curvblas::emulator {
namespace {

std::byte* reserve(std::size_t bytes, int protection, int kind, int file) {
    void* const memory = mmap(nullptr, bytes, protection, kind | MAP_NORESERVE, file, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<std::byte*>(memory);
}

std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// The last granule belongs to nobody, so that running over the end of one allocation does not end in the next.
std::size_t granules(std::size_t bytes) {
    return std::max<std::size_t>(round_up(bytes, Memory::granule) / Memory::granule, 1);
}
std::size_t room_for(std::size_t bytes) { return (granules(bytes) + 1) * Memory::granule; }

}  // namespace

Memory& Memory::instance() {
    static auto* memory = new Memory;  // never destroyed: Python may release arrays after static destructors
    return *memory;
}

Memory::Memory() {
    const int file = memfd_create("curvblas_emulated_device", 0);
    if (file < 0 || ftruncate(file, arena_bytes) != 0) throw std::bad_alloc();
    arena_ = reserve(arena_bytes, PROT_NONE, MAP_SHARED, file);
    host_arena_ = reserve(arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file);
    close(file);
    const std::size_t room = round_up(most_shared, page);
    shared_end_ = reserve(room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1) + room;
    mprotect(shared_end_, page, PROT_NONE);
}

void Memory::protect(int protection) {
    if (top_ > 0) mprotect(arena_, round_up(top_, page), protection);
}

Memory::Open::Open(Memory& memory) : memory_(memory), lock_(memory.mutex_) { memory_.protect(PROT_READ | PROT_WRITE); }

Memory::Open::~Open() { memory_.protect(PROT_NONE); }

void Memory::upload(std::byte* to, const void* from, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    std::memcpy(host_view(to), from, bytes);
    written_by_host(to, bytes);
}

void Memory::download(void* to, const std::byte* from, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (holds_unwritten(from, bytes))
        throw Finding(sentence("read of unwritten memory: the host copies ", bytes,
                               " bytes of global memory, some of which no kernel has written"));
    std::memcpy(to, host_view(from), bytes);
}

std::byte* Memory::allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    std::size_t room = room_for(bytes);
    std::byte* begin;
    if (const auto fit = free_.lower_bound(room); fit != free_.end() && fit->first <= 2 * room) {
        room = fit->first, begin = fit->second;
        ends_.erase(begin + room);
        free_.erase(fit);
    } else {
        if (top_ + room > arena_bytes) throw std::bad_alloc();
        begin = arena_ + top_;
        top_ += room;
        owner_.resize(top_ / granule);
    }
    std::uint32_t index = static_cast<std::uint32_t>(allocations_.size());
    if (free_indices_.empty())
        allocations_.emplace_back();
    else
        index = free_indices_.back(), free_indices_.pop_back();
    allocations_[index] = {begin, begin + bytes, room};
    std::fill_n(owner_.begin() + static_cast<std::ptrdiff_t>(offset(begin) / granule), granules(bytes), index + 1);
    std::fill_n(host_view(begin), bytes, std::byte{0xff});
    forget(begin, bytes);
    return begin;
}

void Memory::release(std::byte* begin) {
    const std::lock_guard lock(mutex_);
    const std::size_t first = offset(begin) / granule;
    if (!holds(begin) || first >= owner_.size() || owner_[first] == 0) return;
    const std::uint32_t index = owner_[first] - 1;
    const Allocation& allocation = allocations_[index];
    std::fill_n(owner_.begin() + static_cast<std::ptrdiff_t>(first),
                granules(static_cast<std::size_t>(allocation.end - begin)), 0);
    free_indices_.push_back(index);
    ends_.emplace(begin + allocation.room, free_.emplace(allocation.room, begin));
    lower_top();
}

// Protecting takes time for every page below the top, in each launch.
void Memory::lower_top() {
    for (auto last = ends_.find(arena_ + top_); last != ends_.end(); last = ends_.find(arena_ + top_)) {
        top_ -= last->second->first;
        free_.erase(last->second);
        ends_.erase(last);
    }
    owner_.resize(top_ / granule);
}

Memory::Allocation Memory::find(const void* p) const {
    const std::size_t k = offset(p) / granule;
    if (!holds(p) || k >= owner_.size() || owner_[k] == 0) return {};
    return allocations_[owner_[k] - 1];
}

Memory::Allocation Memory::find_before(const void* p) const {
    constexpr std::size_t far = 64;
    for (std::size_t k = 1; k <= far && offset(p) >= k * granule; ++k)
        if (const Allocation found = find(static_cast<const std::byte*>(p) - k * granule); found.begin) return found;
    return {};
}

std::byte* Memory::take_shared(std::size_t bytes) {
    if (bytes > most_shared)
        throw Finding(
            sentence("launch with ", bytes, " bytes of shared memory a block: no device has more than ", most_shared));
    return shared_end_ - round_up(bytes, 16);
}

}  // namespace curvblas::emulator
