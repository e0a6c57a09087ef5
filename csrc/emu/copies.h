// What the dialect's wrappers do where there is no PTX: asynchronous copies, votes, atomics.
#pragma once

#include <cstddef>

#include "emu/site.h"

namespace curvblas::emulator {

/// Queues a copy of `bytes` from global to shared memory; zeros where not `valid`.
void issue_copy(void* to, const void* from, unsigned bytes, bool valid, Site site);
/// Closes the group of the copies issued since the last call.
void commit_copies();
/// Returns when all but the last `groups` closed groups of this thread have arrived.
void wait_for_copies(unsigned groups);

/// The lanes of `mask` whose predicate holds.
unsigned ballot(unsigned mask, bool predicate, const char* name, Site site);

void check_atomic(void* word, std::size_t bytes);

}  // namespace curvblas::emulator
