#include "emu/counters.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "emu/block.h"
#include "emu/finding.h"

namespace curvblas::emulator {
namespace {

struct Request {
    std::size_t offset;
    std::size_t bytes;
};
using Place = std::pair<const void*, bool>;          // code, shared
using Requests = std::vector<std::vector<Request>>;  // of each lane, in order

std::map<std::pair<unsigned, Place>, Requests> interval;  // by warp
std::map<Place, std::pair<std::uint64_t, std::uint64_t>> totals;

std::uint64_t sectors(const std::vector<Request>& lanes) {
    std::set<std::size_t> touched;
    for (const Request& r : lanes)
        for (std::size_t s = r.offset / 32; s * 32 < r.offset + r.bytes; ++s) touched.insert(s);
    return touched.size();
}

// 8-byte accesses are served for half a warp at a time, 16-byte ones for a quarter; within such a group, a bank gives
// one word a pass, to all lanes that want it.
std::uint64_t wavefronts(const std::vector<Request>& lanes) {
    const std::size_t group = 32 * 4 / std::max<std::size_t>(lanes[0].bytes, 4);
    std::uint64_t passes = 0;
    for (std::size_t first = 0; first < lanes.size(); first += group) {
        std::set<std::size_t> words;
        for (std::size_t k = first; k < std::min(first + group, lanes.size()); ++k)
            for (std::size_t w = lanes[k].offset / 4; w * 4 < lanes[k].offset + lanes[k].bytes; ++w) words.insert(w);
        std::uint64_t in_bank[32] = {};
        for (const std::size_t w : words) ++in_bank[w % 32];
        passes += *std::max_element(in_bank, in_bank + 32);
    }
    return passes;
}

}  // namespace

void count_access(bool shared, std::size_t offset, std::size_t bytes, const void* code) {
    const Thread& thread = *running.current;
    Requests& lanes = interval[{thread.warp, {code, shared}}];
    lanes.resize(32);
    lanes[thread.lane].push_back({offset, bytes});
}

void end_count_interval() {
    for (const auto& [where, lanes] : interval) {
        std::size_t longest = 0;
        for (const auto& lane : lanes) longest = std::max(longest, lane.size());
        auto& [requests, parts] = totals[where.second];
        for (std::size_t k = 0; k < longest; ++k) {
            std::vector<Request> request;
            for (const auto& lane : lanes)
                if (k < lane.size()) request.push_back(lane[k]);
            ++requests;
            parts += where.second.second ? wavefronts(request) : sectors(request);
        }
    }
    interval.clear();
}

std::vector<Count> take_counts() {
    end_count_interval();
    std::vector<Count> counts;
    for (const auto& [place, total] : std::exchange(totals, {}))
        counts.push_back({source_of(place.first), place.second, total.first, total.second});
    return counts;
}

}  // namespace curvblas::emulator
