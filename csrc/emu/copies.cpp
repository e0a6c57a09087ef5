#include "emu/copies.h"

#include <cstring>

#include "emu/block.h"
#include "emu/check.h"
#include "emu/counters.h"
#include "emu/finding.h"
#include "emu/memory.h"

namespace curvblas::emulator {
namespace {

void land(PendingCopy& copy) {
    if (copy.zero)
        std::memset(copy.to, 0, copy.bytes);
    else
        std::memcpy(copy.to, copy.from, copy.bytes);
    copy.landed = true;
}

struct Vote {
    bool predicate;
    unsigned result;

    static void compute(void* const* lanes, unsigned mask) {
        unsigned votes = 0;
        for (unsigned k = 0; k < 32; ++k)
            if (mask >> k & 1) votes |= static_cast<unsigned>(static_cast<Vote*>(lanes[k])->predicate) << k;
        for (unsigned k = 0; k < 32; ++k)
            if (mask >> k & 1) static_cast<Vote*>(lanes[k])->result = votes;
    }
};

}  // namespace

void issue_copy(void* to, const void* from, unsigned bytes, bool valid, Site site) {
    const auto misaligned = [&](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % bytes != 0; };
    if (misaligned(to) || (valid && misaligned(from)))
        found("misaligned asynchronous copy of ", bytes, " bytes at ", text_of(site));
    const Memory& memory = Memory::instance();
    if (!memory.holds_shared(to) || (valid && !memory.holds(from)))
        found("asynchronous copy that does not go from global to shared memory at ", text_of(site));
    check_copy_issued(to, from, bytes, !valid, __builtin_return_address(0));
    ++copies_issued;
    Thread& thread = *running.current;
    thread.copies.push_back({static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, thread.open_group,
                             false, !valid, site});
    if (running.lands_early()) land(thread.copies.back());
}

void commit_copies() { ++running.current->open_group; }

void wait_for_copies(unsigned groups) {
    Thread& thread = *running.current;
    std::size_t arrived = 0;
    for (PendingCopy& copy : thread.copies) {
        if (copy.group + groups >= thread.open_group) break;
        if (!copy.landed) land(copy);
        check_copy_arrived(copy.to, copy.bytes);
        ++arrived;
    }
    thread.copies.erase(thread.copies.begin(), thread.copies.begin() + static_cast<std::ptrdiff_t>(arrived));
}

void check_atomic(void* word, std::size_t bytes) {
    check_access(word, bytes, Access::atomic, __builtin_return_address(0));
}

unsigned ballot(unsigned mask, bool predicate, const char* name, Site site) {
    Vote vote{predicate, 0};
    running.collective(mask, name, &vote, &Vote::compute, site);
    return vote.result;
}

}  // namespace curvblas::emulator
