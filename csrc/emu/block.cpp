#include "emu/block.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "emu/check.h"
#include "emu/finding.h"
#include "emu/memory.h"

namespace curvblas::emulator {
namespace {

constexpr unsigned warp_size = 32, most_threads = 1024;

std::string triple(const Index3& i) { return sentence("(", i.x, ",", i.y, ",", i.z, ")"); }

Index3 index_of(std::uint64_t number, const Index3& shape) {
    return {static_cast<unsigned>(number % shape.x), static_cast<unsigned>(number / shape.x % shape.y),
            static_cast<unsigned>(number / shape.x / shape.y)};
}

}  // namespace

bool Grid::lands_early() {
    if (options.landing == Landing::random) return random_() & 1;
    return options.landing == Landing::early;
}

void abandon(const std::string& what) { running.abandon(what); }

std::string Grid::who(unsigned thread) const {
    return sentence("thread ", triple(index_of(thread, block)), " of block ", triple(block_index));
}

void Grid::run(const void* kernel_, Index3 grid_, Index3 block_, std::size_t shared_bytes_, Body body,
               const void* arguments) {
    Memory& memory = Memory::instance();
    const Memory::Open open(memory);  // one OS thread at a time
    kernel = kernel_, grid = grid_, block = block_, shared_bytes = shared_bytes_;
    body_ = body, arguments_ = arguments;
    if (block.count() < 1 || block.count() > most_threads || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
        throw Finding(sentence("launch of ", function_at(kernel), ": no device takes a grid of ", triple(grid),
                               " blocks of ", triple(block), " threads"));
    const auto count = static_cast<unsigned>(block.count());
    stacks_.reserve(count);
    threads_.resize(count), ready_.resize(count), order_.resize(count);
    warps.resize((count + warp_size - 1) / warp_size);
    random_.seed(options.seed);
    os_thread = __builtin_thread_pointer();
    shared = memory.take_shared(shared_bytes);
    begin_checked_launch();
    for (std::uint64_t b = 0; b < grid.count(); ++b) {
        block_index = index_of(b, grid);
        std::fill_n(shared, shared_bytes, std::byte{0xff});  // NaN in every floating-point type
        begin_checked_block();
        run_block();
        if (!finding_.empty()) throw Finding(std::exchange(finding_, {}));
    }
}

void Grid::run_block() {
    const auto count = static_cast<unsigned>(threads_.size());
    for (unsigned t = 0; t < count; ++t) {
        Thread& thread = threads_[t];
        thread.fibre.prepare(stacks_.end(t), &thread_main);
        thread.index = index_of(t, block);
        thread.number = t, thread.lane = t % warp_size, thread.warp = t / warp_size;
        thread.state = Thread::ready, thread.waits_at = {};
        thread.copies.clear(), thread.open_group = 0;
    }
    for (unsigned w = 0; w < warps.size(); ++w) {
        const unsigned lanes = std::min(warp_size, count - w * warp_size);
        warps[w].open.clear();
        warps[w].live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    }
    live_ = count, arrived_ = 0, ready_begin_ = ready_count_ = 0;
    make_ready(0, count, ~0u);
    current = &threads_[ready_[0]];
    ready_begin_ = 1 % count, --ready_count_;
    Fibre::switch_between(host_, current->fibre);
    current = nullptr;
}

void Grid::thread_main() {
    running.body_(running.arguments_);
    running.end_thread();
}

void Grid::end_thread() {
    if (arrived_ > 0)
        found("divergent barrier: ", who(current->number), " ended while ", arrived_, " threads wait at ",
              text_of(barrier_site_));
    if (!current->copies.empty())
        found("asynchronous copy never waited for: ", who(current->number), " ended after the copy at ",
              text_of(current->copies.back().site));
    current->state = Thread::ended;
    Warp& warp = warps[current->warp];
    warp.live &= ~(1u << current->lane);
    for (const Collective& open : warp.open)
        if (open.mask >> current->lane & 1)
            found("divergent warp: ", who(current->number), " ended while other lanes wait for it in ", open.name,
                  " at ", text_of(open.site));
    if (--live_ == 0) Fibre::switch_between(current->fibre, host_);
    switch_to_next();
}

void Grid::abandon(const std::string& what) {
    finding_ = sentence(what, callers(), "\n  in kernel ", function_at(kernel), ", run by ", who(current->number));
    Fibre lost;
    Fibre::switch_between(lost, host_);
    __builtin_unreachable();
}

void Grid::switch_to_next() {
    if (ready_count_ == 0) report_deadlock();
    Thread& next = threads_[ready_[ready_begin_]];
    if (++ready_begin_ == ready_.size()) ready_begin_ = 0;
    --ready_count_;
    Thread& previous = *current;
    next.state = Thread::ready;
    current = &next;
    if (&next != &previous) Fibre::switch_between(previous.fibre, next.fibre);
}

// Threads first ... first + count - 1; where they are one warp, `mask` picks lanes.
void Grid::make_ready(unsigned first, unsigned count, unsigned mask) {
    order_.clear();
    for (unsigned k = 0; k < count; ++k)
        if (count > warp_size || mask >> k & 1) order_.push_back(first + k);
    if (options.schedule == Schedule::reverse) std::reverse(order_.begin(), order_.end());
    if (options.schedule == Schedule::random) std::shuffle(order_.begin(), order_.end(), random_);
    std::size_t end = ready_begin_ + ready_count_;
    for (const unsigned t : order_) ready_[end++ % ready_.size()] = t;
    ready_count_ += order_.size();
}

void Grid::barrier(Site site) {
    const auto count = static_cast<unsigned>(threads_.size());
    if (live_ < count)
        found("divergent barrier: ", count - live_, " of ", count, " threads had ended when ", who(current->number),
              " came to ", text_of(site));
    if (arrived_ == 0) barrier_site_ = site;
    if (!(site == barrier_site_))
        found("divergent barrier: ", who(current->number), " came to ", text_of(site), " while ", arrived_,
              " threads wait at ", text_of(barrier_site_));
    current->state = Thread::in_barrier, current->waits_at = site;
    if (++arrived_ == count) {
        arrived_ = 0;
        end_checked_interval();
        make_ready(0, count, ~0u);
    }
    switch_to_next();
}

void Grid::require_lanes(unsigned mask, const char* name, Site site) {
    const Warp& warp = warps[current->warp];
    if (!(mask >> current->lane & 1))
        found("divergent warp: ", who(current->number), ", lane ", current->lane, ", calls ", name, " at ",
              text_of(site), " with a mask that does not name it: 0x", std::hex, mask);
    if (mask & ~warp.live)
        found("divergent warp: ", who(current->number), " waits in ", name, " at ", text_of(site),
              " for lanes that have ended or do not exist: mask 0x", std::hex, mask, ", live 0x", warp.live);
}

void Grid::collective(unsigned mask, const char* name, void* operands, void (*compute)(void* const*, unsigned),
                      Site site) {
    require_lanes(mask, name, site);
    Thread& self = *current;
    std::vector<Collective>& open = warps[self.warp].open;
    auto entry = std::find_if(open.begin(), open.end(), [&](const Collective& c) { return c.mask == mask; });
    if (entry == open.end()) entry = open.insert(open.end(), Collective{mask, 0, site, name, {}});
    if (!(entry->site == site) || entry->name != name)
        found("divergent warp: ", who(self.number), " calls ", name, " at ", text_of(site),
              " while other lanes of its mask wait in ", entry->name, " at ", text_of(entry->site));
    entry->operands[self.lane] = operands;
    entry->arrived |= 1u << self.lane;
    self.state = Thread::in_collective, self.waits_at = site;
    if (entry->arrived == mask) {
        if (compute) {
            current = nullptr;  // what the hardware does is not checked
            compute(entry->operands, mask);
            current = &self;
        }
        open.erase(entry);
        make_ready(self.warp * warp_size, warp_size, mask);
    }
    switch_to_next();
}

void Grid::sync_warp(unsigned mask, Site site) {
    // Only a full one orders memory here: the checker has no finer clocks.
    struct Count {
        static void compute(void* const* operands, unsigned lanes) {
            Warp& warp = *static_cast<Warp*>(operands[std::countr_zero(lanes)]);
            if (lanes == warp.live) ++warp.epoch;
        }
    };
    collective(mask, "__syncwarp", &warps[current->warp], &Count::compute, site);
}

void Grid::report_deadlock() {
    std::string text = "deadlock: no thread can go on";
    for (unsigned t = 0; t < threads_.size();) {
        const Thread& first = threads_[t];
        unsigned end = t + 1;
        while (end < threads_.size() && threads_[end].state == first.state && threads_[end].waits_at == first.waits_at)
            ++end;
        text += sentence("\n  threads ", t, " to ", end - 1, " ",
                         first.state == Thread::ended        ? "have ended"
                         : first.state == Thread::in_barrier ? "wait in __syncthreads at "
                                                             : "wait for other lanes of their warp at ",
                         first.state == Thread::ended ? "" : text_of(first.waits_at));
        t = end;
    }
    abandon(text);
}

}  // namespace curvblas::emulator
