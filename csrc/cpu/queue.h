// Where a kernel runs: the CPU's Queue hands the items of a group to the thread pool.
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "cpu/micro.h"
#include "cpu/pool.h"

namespace curvblas::cpu {

/// A piece of one task: `count` matrices from `first` on, or part `part` (a tile, a block of rows) of matrix `first`.
struct Item {
    Index task, first, count, part;
    double cost;  // flops, or what takes as long
};

struct Release {
    static constexpr std::align_val_t alignment{64};
    void operator()(const void* memory) const noexcept { ::operator delete(const_cast<void*>(memory), alignment); }
};

class Queue {
  public:
    explicit Queue(const Micro& micro) : micro_(&micro) {}

    const Micro& micro() const { return *micro_; }

    /// Memory for the length of a call; uninitialised.
    template <class T>
    std::unique_ptr<T[], Release> scratch(Index count) const {
        const auto bytes = static_cast<std::size_t>(count) * sizeof(T);
        return std::unique_ptr<T[], Release>(static_cast<T*>(::operator new(bytes, Release::alignment)));
    }

    template <class T>
    std::unique_ptr<T[], Release> copy_of(std::span<const T> values) const {
        auto copy = scratch<T>(static_cast<Index>(values.size()));
        std::copy(values.begin(), values.end(), copy.get());
        return copy;
    }

    /// Calls work(item) once for each item, over the pool's threads: the most expensive first, or, if none is much more
    /// expensive than the rest, by threads. Groups that end sooner than a sleeping thread wakes run inline. What an
    /// item computes must not depend on the thread or on the other items.
    template <class Work>
    void run(std::vector<Item>& items, const Work& work) const {
        double total = 0;
        for (const Item& item : items) total += item.cost;
        if (items.size() < 2 || total < worth_waking) {
            for (const Item& item : items) work(item);
            return;
        }
        std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.cost > b.cost; });
        struct Context {
            const Item* items;
            const Work* work;
        } context{items.data(), &work};
        Pool& pool = Pool::instance();
        const bool is_even = items.front().cost * 4 * pool.threads() <= total;
        pool.run(
            static_cast<Index>(items.size()),
            [](const void* c, Index i) {
                const auto& shared = *static_cast<const Context*>(c);
                (*shared.work)(shared.items[i]);
            },
            &context, is_even ? Pool::Shares::by_thread : Pool::Shares::in_order);
    }

    /// The items of a task whose matrices are small: as many matrices an item as pay for its scheduling.
    static void append_batches(std::vector<Item>& items, Index task, Index batch, double cost) {
        const Index chunk = std::clamp<Index>(static_cast<Index>(worth_scheduling / std::max(cost, 1.0)), 1, 4096);
        for (Index first = 0; first < batch; first += chunk) {
            const Index count = std::min(chunk, batch - first);
            items.push_back({task, first, count, 0, cost * static_cast<double>(count)});
        }
    }

    /// The same for a task of a group with many small ones: single matrices of neighbouring tasks share an item, whose
    /// part is `whole_tasks` and which counts tasks.
    static void append_task(std::vector<Item>& items, Index task, Index batch, double cost) {
        if (batch != 1) return append_batches(items, task, batch, cost);
        if (!items.empty()) {
            Item& last = items.back();
            if (last.part == whole_tasks && last.task + last.count == task && last.cost + cost <= worth_scheduling) {
                ++last.count, last.cost += cost;
                return;
            }
        }
        items.push_back({task, 0, 1, whole_tasks, cost});
    }
    static constexpr Index whole_tasks = -1;
    /// Calls f(task, matrix) for all of an item that append_task made.
    template <class F>
    static void for_each_matrix(const Item& item, const F& f) {
        const bool tasks = item.part == whole_tasks;
        for (Index k = 0; k < item.count; ++k) tasks ? f(item.task + k, Index{0}) : f(item.task, item.first + k);
    }

    /// What an algorithm works on in one go, so that a thread's caches hold it from kernel to kernel.
    static constexpr Index piece_bytes = Index{256} << 10;
    /// Calls work(piece) for pieces of an algorithm that need nothing of each other: many of them over the threads, and
    /// what a piece queues runs inline then.
    template <class Work>
    void run_pieces(Index pieces, double cost, const Work& work) const {
        std::vector<Item> items;
        for (Index piece = 0; piece < pieces; ++piece) items.push_back({0, piece, 1, 0, cost});
        run(items, [&](const Item& item) { work(item.first); });
    }

  private:
    static constexpr double worth_waking = 2e5;  // about 20 microseconds of one core
    // An item costs an atomic increment and perhaps a cache line or two. Eight of them a thread or more, and each
    // thread keeps its stretch from call to call.
    static constexpr double worth_scheduling = 2e4;

    const Micro* micro_;
};

}  // namespace curvblas::cpu
