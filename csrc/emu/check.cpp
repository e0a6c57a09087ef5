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

struct Event {
    std::uint32_t interval = 0, warp_epoch = 0;
    const void* code = nullptr;
    std::uint16_t thread = 0;
    bool atomic = false, in_flight = false;
};

/// What is known about a word of 4 bytes, or about one byte of it where the word was accessed in part.
struct Cell {
    Event writer;
    Event reader;        ///< the last one
    Event same;          ///< another reader of its warp that is not ordered with it
    Event another;       ///< a reader of another warp or of an earlier block
    bool split = false;  ///< of a word's first byte: the others have cells of their own
};

std::uint32_t interval = by_host, launch_begin = 0, block_begin = 0;

bool of_earlier_block(const Event& e) { return e.interval >= launch_begin && e.interval < block_begin; }

bool same_warp(const Event& a, const Event& b) { return a.thread / 32 == b.thread / 32; }

// Shared memory is new in each block.
bool conflict(const Event& then, const Event& now, bool shared) {
    if (of_earlier_block(then)) return !shared;
    if (then.interval != now.interval || then.thread == now.thread) return false;
    return !same_warp(then, now) || then.warp_epoch == now.warp_epoch;
}

void remember_read(Cell& cell, const Event& now) {
    Event& last = cell.reader;
    const bool keep_another = of_earlier_block(cell.another);
    if (of_earlier_block(last)) {
        if (!keep_another) cell.another = last;
        cell.same = {};
    } else if (last.interval == now.interval && last.thread != now.thread) {
        if (!same_warp(last, now)) {
            if (!keep_another) cell.another = last;
            cell.same = {};
        } else {
            cell.same = last.warp_epoch == now.warp_epoch ? last : Event{};
        }
    }
    last = now;
}

/// Cells for a range of memory: one a word, or one a byte of the words that were accessed in part.
class Shadow {
  public:
    explicit Shadow(std::size_t bytes) : words_(plane(bytes / 4)), other_bytes_(plane(bytes / 4 * 3)) {}

    /// Calls f(cell) for the cells of the bytes [offset, offset + bytes).
    template <class F>
    void for_each(std::size_t offset, std::size_t bytes, const F& f) {
        const std::size_t end = offset + bytes;
        for (std::size_t word = offset / 4; word * 4 < end; ++word) {
            Cell& cell = words_[word];
            const bool whole = offset <= word * 4 && end >= word * 4 + 4;
            if (whole && !cell.split)
                f(cell);
            else
                for_each_byte(word, offset, end, f);
        }
    }
    void reset(std::size_t offset, std::size_t bytes) {
        std::fill(words_ + offset / 4, words_ + (offset + bytes + 3) / 4, Cell{});
    }

  private:
    template <class F>
    void for_each_byte(std::size_t word, std::size_t begin, std::size_t end, const F& f) {
        Cell& first = words_[word];
        if (!first.split) {
            first.split = true;
            std::fill_n(other_bytes_ + word * 3, 3, first);
        }
        for (std::size_t byte = 0; byte < 4; ++byte)
            if (word * 4 + byte >= begin && word * 4 + byte < end)
                f(byte == 0 ? first : other_bytes_[word * 3 + byte - 1]);
    }
    static Cell* plane(std::size_t cells) {
        void* const memory = mmap(nullptr, cells * sizeof(Cell), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        return static_cast<Cell*>(memory);
    }
    Cell *words_, *other_bytes_;
};

Shadow& arena_shadow() {
    static auto* shadow = new Shadow(Memory::arena_bytes);
    return *shadow;
}
Shadow& shared_shadow() {
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

std::string line(const void* code) { return code ? source_of(code) : std::string("an asynchronous copy"); }

[[noreturn]] void found_race(const Place& place, const Event& then, const Event& now, bool then_wrote) {
    const bool blocks = of_earlier_block(then);
    found("race ",
          blocks         ? "between blocks on global memory: "
          : place.shared ? "on shared memory: "
                         : "on global memory: ",
          place.text(), " at ", line(now.code), "\n  after the ", then_wrote ? "write" : "read", " at ",
          line(then.code), " by ", blocks ? std::string("another block") : running.who(then.thread), ", and ",
          blocks ? "blocks have no order" : "no barrier lies between");
}

void check_cell(Cell& cell, const Place& place, const Event& now) {
    const Event& writer = cell.writer;
    if (writer.in_flight && writer.interval >= block_begin)
        found("early use of an asynchronous copy: ", place.text(), " at ", line(now.code), "\n  before ",
              running.who(writer.thread), " has waited for the copy at ", line(writer.code));
    const bool written = writer.interval >= (place.shared ? block_begin : by_host);
    if (place.access == Access::read && !written)
        found("read of unwritten memory: ", place.text(), " at ", line(now.code),
              place.shared ? "\n  no thread of the block has written it so far: is a barrier missing?" : "");
    if (conflict(writer, now, place.shared) && !(writer.atomic && now.atomic)) found_race(place, writer, now, true);
    if (place.access == Access::read) return remember_read(cell, now);
    for (const Event* reader : {&cell.reader, &cell.same, &cell.another})
        if (conflict(*reader, now, place.shared)) found_race(place, *reader, now, false);
    cell.writer = now;
}

Event event(Access access, const void* code) {
    const Thread& thread = *running.current;
    Event now{interval, running.warps[thread.warp].epoch, code, static_cast<std::uint16_t>(thread.number)};
    now.atomic = access == Access::atomic;
    return now;
}

/// The bounds of an access outside of the thread's own stack, and where it lies.
Place place_of(const void* p, std::size_t bytes, Access access, const void* code) {
    const Memory& memory = Memory::instance();
    Place place{memory.holds_shared(p), 0, bytes, access};
    const auto* const begin = static_cast<const std::byte*>(p);
    if (reinterpret_cast<std::uintptr_t>(p) % std::min<std::size_t>(bytes, 16) && (bytes & (bytes - 1)) == 0)
        found("misaligned access: ", place.text(), " at ", line(code));
    if (place.shared) {
        place.offset = begin - running.shared;
        if (place.offset < 0 ||
            place.offset + static_cast<std::ptrdiff_t>(bytes) > static_cast<std::ptrdiff_t>(running.shared_bytes))
            found("out of bounds: ", place.text(), ", of which there are ", running.shared_bytes, " bytes, at ",
                  line(code));
        return place;
    }
    if (!memory.holds(p)) {
        if (running.in_stacks(p)) found("access to another thread's local memory: ", place.text(), " at ", line(code));
        found("access to memory of the host: ", place.text(), " at ", line(code));
    }
    const Memory::Allocation allocation = memory.find(p);
    if (!allocation.begin || begin < allocation.begin || begin + bytes > allocation.end) {
        const Memory::Allocation nearest = allocation.begin ? allocation : memory.find_before(p);
        const auto bytes_of_it = nearest.end - nearest.begin;
        found("out of bounds: ", place.text(), ", ",
              !nearest.begin ? std::string("in no allocation")
              : begin < nearest.end
                  ? sentence("over the end of an allocation of ", bytes_of_it)
                  : sentence(begin - nearest.end, " bytes past the end of an allocation of ", bytes_of_it),
              ", at ", line(code));
    }
    place.offset = static_cast<std::ptrdiff_t>(memory.offset(p));
    return place;
}

}  // namespace

void check_access(const void* p, std::size_t bytes, Access access, const void* code) {
    if (!checking || !running.is_kernel() || running.in_own_stack(p)) return;
    if (access == Access::read && !Memory::instance().holds_shared(p) && !Memory::instance().holds(p) && is_constant(p))
        return;
    const Place place = place_of(p, bytes, access, code);
    const auto offset = static_cast<std::size_t>(place.offset);
    if (counting) count_access(place.shared, offset, bytes, code);
    const Event now = event(access, code);
    Shadow& shadow = place.shared ? shared_shadow() : arena_shadow();
    shadow.for_each(offset, bytes, [&](Cell& cell) { check_cell(cell, place, now); });
}

void check_copy_issued(const void* to, const void* from, std::size_t bytes, bool zero, const void* code) {
    if (!checking) return;
    if (!zero) check_access(from, bytes, Access::read, code);
    check_access(to, bytes, Access::write, code);
    shared_shadow().for_each(static_cast<std::size_t>(static_cast<const std::byte*>(to) - running.shared), bytes,
                             [](Cell& cell) { cell.writer.in_flight = true; });
}

void check_copy_arrived(const void* to, std::size_t bytes) {
    if (!checking) return;
    shared_shadow().for_each(static_cast<std::size_t>(static_cast<const std::byte*>(to) - running.shared), bytes,
                             [](Cell& cell) {
                                 cell.writer.in_flight = false;
                                 cell.writer.interval = interval;
                                 cell.writer.warp_epoch = running.warps[running.current->warp].epoch;
                             });
}

void begin_checked_launch() {
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
    if (checking) arena_shadow().reset(Memory::instance().offset(begin), bytes);
}

bool holds_unwritten(const void* begin, std::size_t bytes) {
    bool unwritten = false;
    if (checking && bytes > 0)
        arena_shadow().for_each(Memory::instance().offset(begin), bytes,
                                [&](Cell& cell) { unwritten = unwritten || cell.writer.interval < by_host; });
    return unwritten;
}

void written_by_host(const void* begin, std::size_t bytes) {
    if (!checking || bytes == 0) return;
    arena_shadow().for_each(Memory::instance().offset(begin), bytes, [](Cell& cell) {
        const bool split = cell.split;
        cell = {};
        cell.writer.interval = by_host, cell.split = split;
    });
}

}  // namespace curvblas::emulator
