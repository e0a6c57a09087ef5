#include "kernels/eigenbasis.h"

#include <algorithm>
#include <memory>

#include "cpu/scratch.h"
#include "kernels/eigenbasis_job.h"
#include "kernels/shared_jobs.h"

namespace curvblas::cpu {
namespace {

/// What an item takes, as the queue counts it (10,000 a microsecond; float32 on a Zen 5): lanes full of matrices took
/// 10 us at n = 8 and 180 us at n = 32, one matrix of n = 256 1.2 ms, of n = 1024 41 ms.
template <class T>
double cost(Index order) {
    const double n = static_cast<double>(order);
    return order <= EigenLanes<T>::most_order ? 1200 * n * n + 20 * n * n * n : 100 * n * n + 0.3 * n * n * n;
}

/// The matrices of a group, those of one order behind each other, so that lanes are full whatever task they are of.
template <class T>
std::vector<EigenLane<T>> by_order(std::span<const Eigenbasis<T>> group) {
    std::vector<EigenLane<T>> all;
    for (const Eigenbasis<T>& task : group) {
        const Index n = task.C.rows;
        for (Index b = 0; b < task.C.batch; ++b) {
            if (n > 0)
                all.push_back({task.C[b], task.values + b * n, task.vectors[b], task.reports.status + b,
                               task.reports.residual + b});
            else
                task.reports.status[b] = Status::ok, task.reports.residual[b] = 0;
        }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const EigenLane<T>& a, const EigenLane<T>& b) { return a.C.rows < b.C.rows; });
    return all;
}

/// All matrices of a group: lanes, matrices of one thread, and those that the threads share because they would keep the
/// others waiting.
template <class T>
class Eigenbases {
  public:
    Eigenbases(const Queue& queue, std::span<const Eigenbasis<T>> group)
        : queue_(queue), lanes_(queue.micro().eigen_lanes<T>()), all_(by_order(group)) {
        double total = 0;
        for (const EigenLane<T>& one : all_)
            total += cost<T>(one.C.rows) / (is_for_lanes(one.C.rows) ? lanes_.width : 1);
        const auto is_shared = [&](Index n) {
            return n >= 128 && cost<T>(n) > total / (4.0 * Pool::instance().threads());
        };
        Index first = 0, next;
        for (const Index count = static_cast<Index>(all_.size()); first < count; first = next) {
            const Index order = all_[first].C.rows;
            next = first + 1;
            if (is_for_lanes(order))
                while (next < count && next < first + lanes_.width && all_[next].C.rows == order) ++next;
            if (is_shared(order)) break;  // and so are all larger ones
            items_.push_back({0, first, next - first, whole, cost<T>(order)});
        }
        for (Index k = static_cast<Index>(all_.size()) - 1; k >= first; --k)
            jobs_.add(bytes(k), [this, k](std::byte* memory) {
                return std::make_unique<EigenJob<T>>(queue_.micro(), all_[static_cast<std::size_t>(k)], memory);
            });
    }

    void run() {
        jobs_.run(queue_, items_, [&](const Item& item) { solve(item.first, item.count); });
    }

  private:
    static constexpr Index whole = -1;  // an item's `part`, below those of shared matrices

    static bool is_for_lanes(Index n) { return n <= EigenLanes<T>::most_order; }
    Index bytes(Index k) const { return EigenJob<T>::bytes(queue_.micro(), all_[static_cast<std::size_t>(k)].C.rows); }

    void solve(Index first, Index count) const {
        const EigenLane<T>* const ones = all_.data() + first;
        const Index n = ones->C.rows;
        const bool in_lanes = is_for_lanes(n);
        const Index need = in_lanes ? lanes_.bytes(n) : bytes(first);
        Scratch<EigenLanes<T>> scratch(need);
        std::byte* const memory = scratch.template take<std::byte>(need);
        if (in_lanes) return lanes_.solve(n, count, ones, memory);
        EigenJob<T> job(queue_.micro(), *ones, memory);
        run_alone(job);
    }

    const Queue& queue_;
    const EigenLanes<T>& lanes_;
    const std::vector<EigenLane<T>> all_;
    std::vector<Item> items_;
    SharedJobs<EigenJob<T>> jobs_{Pool::instance().threads()};
};

}  // namespace

template <class T>
void eigenbasis(const Queue& queue, std::span<const Eigenbasis<T>> group) {
    Eigenbases<T>(queue, group).run();
}

template void eigenbasis(const Queue&, std::span<const Eigenbasis<float>>);
template void eigenbasis(const Queue&, std::span<const Eigenbasis<double>>);

}  // namespace curvblas::cpu
