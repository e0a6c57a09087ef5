#include "emu/check.h"

#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <vector>

#include "emu/block.h"
#include "emu/counters.h"
#include "emu/finding.h"
#include "emu/memory.h"

namespace curvblas::emulator {
namespace {

constexpr std::uint32_t by_host = 1;  // the interval of everything that the host does

/// Two words and no narrower members: a copy of what was just written in parts waits for the parts.
struct Event {
    std::uint64_t when = 0;  ///< the interval, and the epoch of the warp within it
    std::uint64_t who = 0;   ///< the code, as bytes from here(); flags; the thread
    static constexpr std::uint64_t atomic = 1 << 16, in_flight = 1 << 17;

    std::uint32_t interval() const { return static_cast<std::uint32_t>(when >> 32); }
    unsigned thread() const { return who & 0xffff; }
    unsigned warp() const { return thread() / 32; }
    const void* code() const;
};

const char* here() {
    static const char anywhere = 0;  // in this module
    return &anywhere;
}
const void* Event::code() const { return here() + static_cast<std::int32_t>(who >> 32); }

constexpr std::uint64_t moment(std::uint32_t interval, std::uint32_t warp_epoch) {
    return std::uint64_t{interval} << 32 | warp_epoch;
}

/// What is known about a word of 4 bytes, or about one byte of it where the word was accessed in part. One cache line.
struct alignas(64) Cell {
    Event writer;
    Event reader;   ///< the last one
    Event same;     ///< another reader of its warp that is not ordered with it
    Event another;  ///< a reader of another warp or of an earlier block
};

std::uint32_t interval = by_host, launch_begin = 0, block_begin = 0;

bool of_earlier_block(const Event& e) { return e.interval() >= launch_begin && e.interval() < block_begin; }

// Shared memory is new in each block.
[[gnu::always_inline]] inline bool conflict(const Event& then, const Event& now, bool shared) {
    if (then.interval() != now.interval()) return !shared && of_earlier_block(then);
    return then.thread() != now.thread() && (then.warp() != now.warp() || then.when == now.when);
}

[[gnu::always_inline]] inline void remember_read(Cell& cell, const Event& now) {
    const Event last = cell.reader;
    if (last.when == now.when && last.thread() == now.thread()) return;
    cell.reader = now;
    const bool keep_another = of_earlier_block(cell.another);
    if (of_earlier_block(last)) {
        if (!keep_another) cell.another = last;
        cell.same = {};
    } else if (last.interval() == now.interval() && last.thread() != now.thread()) {
        if (last.warp() != now.warp()) {
            if (!keep_another) cell.another = last;
            cell.same = {};
        } else {
            cell.same = last.when == now.when ? last : Event{};
        }
    }
}

/// Cells for a range of memory: one for 8 bytes, until they are accessed in part; then one a word, or one a byte.
class Shadow {
  public:
    explicit Shadow(std::size_t bytes)
        : halvings_(plane<std::uint8_t>(bytes / 8)),
          first_(plane<Cell>(bytes / 8)),
          middle_(plane<Cell>(bytes / 8)),
          others_(plane<Cell>(bytes / 8 * 6)) {}

    /// Calls f(cell) for the cells of the bytes [offset, offset + bytes).
    template <class F>
    [[gnu::always_inline]] void for_each(std::size_t offset, std::size_t bytes, const F& f) {
        const std::size_t end = offset + bytes;
        for (std::size_t group = offset / 8; group * 8 < end; ++group) {
            const std::size_t from = std::max(offset, group * 8) % 8, to = std::min(end - group * 8, std::size_t{8});
            while ((from | to) & ((std::size_t{8} >> halvings_[group]) - 1)) halve(group);
            for (std::size_t byte = from; byte < to; byte += std::size_t{8} >> halvings_[group]) f(cell(group, byte));
        }
    }
    /// What is known is forgotten, or `known` is known, of whole groups of 8 bytes.
    void reset(std::size_t offset, std::size_t bytes, const Cell& known) {
        std::fill_n(first_ + offset / 8, (bytes + 7) / 8, known);
        join(offset, bytes);
    }
    /// One cell for 8 bytes again, where nothing of interest is known.
    void join(std::size_t offset, std::size_t bytes) {
        std::fill_n(halvings_ + offset / 8, (bytes + 7) / 8, std::uint8_t{0});
    }

  private:
    Cell& cell(std::size_t group, std::size_t byte) {
        if (byte % 4 == 0) return (byte == 0 ? first_ : middle_)[group];
        return others_[group * 6 + byte - (byte < 4 ? 1 : 2)];
    }
    /// From 8 bytes a cell to 4, or from 4 to 1.
    [[gnu::noinline]] void halve(std::size_t group) {
        if (halvings_[group] == 0) {
            middle_[group] = first_[group];
            halvings_[group] = 1;
            return;
        }
        for (std::size_t byte = 0; byte < 8; ++byte) cell(group, byte) = cell(group, byte / 4 * 4);
        halvings_[group] = 3;
    }
    template <class T>
    static T* plane(std::size_t count) {
        void* const memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        return static_cast<T*>(memory);
    }
    std::uint8_t* halvings_;           // of 8 bytes: 0, 1 or 3
    Cell *first_, *middle_, *others_;  // of bytes 0, of bytes 4, of the six others
};

[[gnu::always_inline]] inline Shadow& arena_shadow() {
    static auto* shadow = new Shadow(Memory::arena_bytes);
    return *shadow;
}
[[gnu::always_inline]] inline Shadow& shared_shadow() {
    static auto* shadow = new Shadow(Memory::most_shared + 16);
    return *shadow;
}

struct Range {
    const void *begin, *end;
};

/// Constants of loaded code: tables of the compiler, constexpr arrays.
bool is_constant(const void* p) {
    static const std::vector<Range> ranges = [] {
        std::vector<Range> found_ranges;
        dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t, void* list) {
                for (int k = 0; k < info->dlpi_phnum; ++k) {
                    const auto& segment = info->dlpi_phdr[k];
                    const auto* begin = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
                    if (segment.p_type == PT_LOAD && !(segment.p_flags & PF_W))
                        static_cast<std::vector<Range>*>(list)->push_back({begin, begin + segment.p_memsz});
                }
                return 0;
            },
            &found_ranges);
        return found_ranges;
    }();
    return std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) { return p >= r.begin && p < r.end; });
}

/// Where an access went, and the words for it.
struct Place {
    bool shared;
    std::ptrdiff_t offset;
    std::size_t bytes;
    Access access;

    std::string text() const {
        const char* verb = access == Access::read ? "read" : access == Access::write ? "write" : "atomic operation";
        return sentence(verb, " of ", bytes, " bytes ",
                        shared ? sentence("at offset ", offset, " of shared memory") : std::string("of global memory"));
    }
};

[[noreturn, gnu::cold]] void found_race(const Place& place, const Event& then, const Event& now, bool then_wrote) {
    const bool blocks = of_earlier_block(then);
    found("race ",
          blocks         ? "between blocks on global memory: "
          : place.shared ? "on shared memory: "
                         : "on global memory: ",
          place.text(), " at ", source_of(now.code()), "\n  after the ", then_wrote ? "write" : "read", " at ",
          source_of(then.code()), " by ", blocks ? std::string("another block") : running.who(then.thread()), ", and ",
          blocks ? "blocks have no order" : "no barrier lies between");
}

[[noreturn, gnu::cold]] void found_early_use(const Place& place, const Event& writer, const Event& now) {
    found("early use of an asynchronous copy: ", place.text(), " at ", source_of(now.code()), "\n  before ",
          running.who(writer.thread()), " has waited for the copy at ", source_of(writer.code()));
}

[[noreturn, gnu::cold]] void found_unwritten(const Place& place, const Event& now) {
    found("read of unwritten memory: ", place.text(), " at ", source_of(now.code()),
          place.shared ? "\n  no thread of the block has written it so far: is a barrier missing?" : "");
}

[[gnu::always_inline]] inline void check_cell(Cell& cell, const Place& place, const Event& now) {
    const Event writer = cell.writer;
    if (writer.who & Event::in_flight && writer.interval() >= block_begin) found_early_use(place, writer, now);
    if (place.access == Access::read && writer.interval() < (place.shared ? block_begin : by_host))
        found_unwritten(place, now);
    if (conflict(writer, now, place.shared) && !(writer.who & now.who & Event::atomic))
        found_race(place, writer, now, true);
    if (place.access == Access::read) return remember_read(cell, now);
    for (const Event* reader : {&cell.reader, &cell.same, &cell.another})
        if (conflict(*reader, now, place.shared)) found_race(place, *reader, now, false);
    cell.writer = now;
}

/// What the running thread does now.
[[gnu::always_inline]] inline Event event(Access access, const void* code) {
    const Thread& thread = *running.current;
    const auto from_here = static_cast<std::uint32_t>(static_cast<const char*>(code) - here());
    return {moment(interval, running.warps[thread.warp].epoch),
            std::uint64_t{from_here} << 32 | (access == Access::atomic ? Event::atomic : 0) | thread.number};
}

[[gnu::always_inline]] inline bool is_aligned(const void* p, std::size_t bytes) {
    if (bytes & (bytes - 1)) return true;
    return (reinterpret_cast<std::uintptr_t>(p) & (std::min<std::size_t>(bytes, 16) - 1)) == 0;
}

/// Where an access outside of shared memory's bounds went: in global memory, or where it may not go. False for what is
/// not checked further, the constants of a program.
bool find_place(const void* p, const void* code, Place& place) {
    const Memory& memory = Memory::instance();
    const auto* const begin = static_cast<const std::byte*>(p);
    if (!memory.holds(p)) {
        place.shared = memory.holds_shared(p), place.offset = begin - running.shared;
        if (!place.shared && place.access == Access::read && is_constant(p)) return false;
        if (!is_aligned(p, place.bytes)) found("misaligned access: ", place.text(), " at ", source_of(code));
        if (place.shared)
            found("out of bounds: ", place.text(), ", of which there are ", running.shared_bytes, " bytes, at ",
                  source_of(code));
        if (running.in_stacks(p))
            found("access to another thread's local memory: ", place.text(), " at ", source_of(code));
        found("access to memory of the host: ", place.text(), " at ", source_of(code));
    }
    if (!is_aligned(p, place.bytes)) found("misaligned access: ", place.text(), " at ", source_of(code));
    const Memory::Allocation allocation = memory.find(p);
    if (!allocation.begin || begin < allocation.begin || begin + place.bytes > allocation.end) {
        const Memory::Allocation nearest = allocation.begin ? allocation : memory.find_before(p);
        const auto bytes_of_it = nearest.end - nearest.begin;
        found("out of bounds: ", place.text(), ", ",
              !nearest.begin ? std::string("in no allocation")
              : begin < nearest.end
                  ? sentence("over the end of an allocation of ", bytes_of_it)
                  : sentence(begin - nearest.end, " bytes past the end of an allocation of ", bytes_of_it),
              ", at ", source_of(code));
    }
    place.offset = static_cast<std::ptrdiff_t>(memory.offset(p));
    return true;
}

[[gnu::always_inline]] inline bool is_checked(const void* p) {
    return checking && running.is_kernel() && !running.in_own_stack(p);
}

// Most of the time of the checked build is spent here.
[[gnu::always_inline]] inline void check(const void* p, std::size_t bytes, Access access, const void* code) {
    Place place{true, static_cast<const std::byte*>(p) - running.shared, bytes, access};
    const auto offset = static_cast<std::size_t>(place.offset);
    if (offset >= running.shared_bytes || bytes > running.shared_bytes - offset || !is_aligned(p, bytes)) {
        place.shared = false;
        if (!find_place(p, code, place)) return;
    }
    if (counting) count_access(place.shared, static_cast<std::size_t>(place.offset), bytes, code);
    const Event now = event(access, code);
    Shadow& shadow = place.shared ? shared_shadow() : arena_shadow();
    shadow.for_each(static_cast<std::size_t>(place.offset), bytes,
                    [&](Cell& cell) __attribute__((always_inline)) { check_cell(cell, place, now); });
}

// Apart from its caller, which saves no registers for accesses to the own stack.
template <std::size_t bytes, Access access>
[[gnu::noinline]] void check_elsewhere(const void* p, const void* code) {
    check(p, bytes, access, code);
}

}  // namespace

void check_access(const void* p, std::size_t bytes, Access access, const void* code) {
    if (is_checked(p)) check(p, bytes, access, code);
}

template <std::size_t bytes, Access access>
void check_access(const void* p, const void* code) {
    if (is_checked(p)) check_elsewhere<bytes, access>(p, code);
}
template void check_access<1, Access::read>(const void*, const void*);
template void check_access<2, Access::read>(const void*, const void*);
template void check_access<4, Access::read>(const void*, const void*);
template void check_access<8, Access::read>(const void*, const void*);
template void check_access<16, Access::read>(const void*, const void*);
template void check_access<1, Access::write>(const void*, const void*);
template void check_access<2, Access::write>(const void*, const void*);
template void check_access<4, Access::write>(const void*, const void*);
template void check_access<8, Access::write>(const void*, const void*);
template void check_access<16, Access::write>(const void*, const void*);

void check_copy_issued(const void* to, const void* from, std::size_t bytes, bool zero, const void* code) {
    if (!checking) return;
    if (!zero) check_access(from, bytes, Access::read, code);
    check_access(to, bytes, Access::write, code);
    shared_shadow().for_each(static_cast<std::size_t>(static_cast<const std::byte*>(to) - running.shared), bytes,
                             [](Cell& cell) { cell.writer.who |= Event::in_flight; });
}

void check_copy_arrived(const void* to, std::size_t bytes) {
    if (!checking) return;
    const std::uint64_t now = moment(interval, running.warps[running.current->warp].epoch);
    shared_shadow().for_each(static_cast<std::size_t>(static_cast<const std::byte*>(to) - running.shared), bytes,
                             [&](Cell& cell) { cell.writer.when = now, cell.writer.who &= ~Event::in_flight; });
}

void begin_checked_launch() {
    if (checking) shared_shadow().join(0, Memory::most_shared);
    launch_begin = ++interval;
    block_begin = interval;
}

void begin_checked_block() {
    block_begin = ++interval;
    if (counting) end_count_interval();
}

void end_checked_interval() {
    ++interval;
    if (counting) end_count_interval();
}

void forget(const void* begin, std::size_t bytes) {
    if (checking) arena_shadow().reset(Memory::instance().offset(begin), bytes, {});
}

bool holds_unwritten(const void* begin, std::size_t bytes) {
    bool unwritten = false;
    if (checking && bytes > 0)
        arena_shadow().for_each(Memory::instance().offset(begin), bytes,
                                [&](Cell& cell) { unwritten = unwritten || cell.writer.interval() < by_host; });
    return unwritten;
}

void written_by_host(const void* begin, std::size_t bytes) {
    if (!checking || bytes == 0) return;
    Cell known;
    known.writer.when = moment(by_host, 0);
    const std::size_t offset = Memory::instance().offset(begin), whole = offset % 8 == 0 ? bytes / 8 * 8 : 0;
    arena_shadow().reset(offset, whole, known);
    arena_shadow().for_each(offset + whole, bytes - whole, [&](Cell& cell) { cell = known; });
}

}  // namespace curvblas::emulator
