// What the checked build knows about every word of device memory: who wrote it, who read it, and when.
//
// Time is counted in intervals: one ends at every barrier of the block. Two accesses of different threads conflict if
// one of them writes, both lie in the same interval of the same block (and not in one warp with a full __syncwarp
// between), or in different blocks of one launch. Also found: reads of what nobody wrote, accesses outside of any
// allocation, and use of what an asynchronous copy has not delivered. In the plain build `checking` is false, and all
// this does nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emu/site.h"

namespace curvblas::emulator {

inline bool checking = false;

enum class Access : std::uint8_t { read, write, atomic };

/// Called before every load and store of instrumented code; `code` is the return address of the hook.
void check_access(const void* p, std::size_t bytes, Access access, const void* code);
/// The same for the sizes of the machine's loads and stores, which are most.
template <std::size_t bytes, Access access>
void check_access(const void* p, const void* code);

/// An asynchronous copy was issued: `to` may not be touched until it has arrived.
void check_copy_issued(const void* to, const void* from, std::size_t bytes, bool zero, const void* code);
void check_copy_arrived(const void* to, std::size_t bytes);

void begin_checked_launch();
void begin_checked_block();
void end_checked_interval();

/// New memory, which nobody has written; memory that the host has written.
void forget(const void* begin, std::size_t bytes);
void written_by_host(const void* begin, std::size_t bytes);
/// Whether nobody has written some of it: a result that a kernel forgot.
bool holds_unwritten(const void* begin, std::size_t bytes);

}  // namespace curvblas::emulator
