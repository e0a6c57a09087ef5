// How well a kernel uses memory: per source line, how many 32-byte sectors a warp's accesses to global memory touch,
// and how many passes (wavefronts) its accesses to shared memory take through the 32 banks of 4 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace curvblas::emulator {

inline std::uint64_t copies_issued = 0;  ///< asynchronous ones, ever

inline bool counting = false;

/// One access of the running thread.
void count_access(bool shared, std::size_t offset, std::size_t bytes, const void* code);
/// Joins what the lanes of each warp did since the last barrier: their k-th accesses at one place are one request.
void end_count_interval();

struct Count {
    std::string source;
    bool shared;
    std::uint64_t requests, parts;  ///< parts: sectors of global memory, wavefronts of shared memory
};
/// All that was counted since counting began; forgets it.
std::vector<Count> take_counts();

}  // namespace curvblas::emulator
