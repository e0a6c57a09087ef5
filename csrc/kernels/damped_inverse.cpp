#include "kernels/damped_inverse.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>

#include "core/probe.h"
#include "cpu/scratch.h"
#include "kernels/damped_inverse_job.h"
#include "kernels/shared_jobs.h"

namespace curvblas::cpu {
namespace {

/// The vectors of signs that lanes are probed with.
const double* signs_for_lanes() {
    static const auto signs = [] {
        std::array<double, (1 + further_probes) * largest_in_lanes> all{};
        for (std::size_t k = 0; k < all.size(); ++k)
            all[k] = probe_sign(static_cast<Index>(k) / largest_in_lanes, static_cast<Index>(k) % largest_in_lanes);
        return all;
    }();
    return signs.data();
}

/// Where the small matrices of a group are: `count` of a task, from position `first` of their common order on.
struct Run {
    Index task, first, count, n;
};

/// One matrix of a group.
struct Place {
    Index task, matrix;
};

template <class T>
class Inverter {
  public:
    Inverter(const Queue& queue, std::span<const DampedInverse<T>> group, OnFailure on_failure)
        : queue_(queue), group_(group), on_failure_(on_failure) {
        double total = 0;
        for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
            const Stack<const T>& C = task(t).C;
            if (is_for_lanes(C.rows) && C.batch > 0) runs_.push_back({t, 0, C.batch, C.rows});
            total += cost_of(C.rows) * static_cast<double>(C.batch);
        }
        // Free lanes cost nothing: the largest matrices come first, so that a block is no larger than it must be.
        std::stable_sort(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.n > b.n; });
        for (Run& run : runs_) run.first = in_lanes_, in_lanes_ += run.count;
        append_lanes();
        append_jobs(total);
    }

    void run() {
        jobs_.run(queue_, items_, [&](const Item& item) {
            item.part == lanes ? invert_positions(item) : solve({item.task, item.first});
        });
    }

  private:
    static constexpr Index lanes = -1, whole = -2;  // an item's `part`, below those of shared matrices

    const DampedInverse<T>& task(Index t) const { return group_[static_cast<std::size_t>(t)]; }
    static bool is_for_lanes(Index n) { return n > 0 && n <= largest_in_lanes; }
    static double cost_of(Index n) {
        const double order = static_cast<double>(n);
        return 5000 + 20 * order * order + order * order * order / 8;
    }

    void append_lanes() {
        const Index width = queue_.micro().template lane_inverse<T, T>().lanes;
        Index r = 0;
        for (Index first = 0, count; first < in_lanes_; first += count) {
            while (runs_[static_cast<std::size_t>(r)].first + runs_[static_cast<std::size_t>(r)].count <= first) ++r;
            const double n = static_cast<double>(runs_[static_cast<std::size_t>(r)].n);
            const double cost = static_cast<double>(width) * (200 + 8 * n * n + n * n * n / 6);
            // As many blocks of lanes an item as pay for its scheduling.
            const Index blocks = std::clamp<Index>(static_cast<Index>(2e4 / cost), 1, 64);
            count = std::min(blocks * width, in_lanes_ - first);
            items_.push_back({r, first, count, lanes, cost * static_cast<double>(blocks)});
        }
    }

    /// Matrices beyond the lanes; the threads share one if it would keep the others waiting.
    void append_jobs(double total) {
        for (Index t = 0; t < static_cast<Index>(group_.size()); ++t) {
            const Index n = task(t).C.rows;
            const double cost = cost_of(n);
            if (is_for_lanes(n)) continue;
            const bool is_shared = cost > 1e7 && cost > total / (4.0 * Pool::instance().threads());
            for (Index b = 0; b < task(t).C.batch; ++b) {
                if (is_shared)
                    jobs_.add(InverseJob<T>::bytes(queue_.micro(), n), [this, t, b](std::byte* memory) {
                        return std::make_unique<InverseJob<T>>(queue_.micro(), task(t), b, on_failure_, memory);
                    });
                else
                    items_.push_back({t, b, 1, whole, cost});
            }
        }
    }

    void solve(const Place& place) const {
        const Index need = InverseJob<T>::bytes(queue_.micro(), task(place.task).C.rows);
        Scratch<InverseJob<T>> scratch(need);
        InverseJob<T> job(queue_.micro(), task(place.task), place.matrix, on_failure_,
                          scratch.template take<std::byte>(need));
        run_alone(job);
    }

    void invert_positions(const Item& item) const {
        Place places[LaneProblems<T>::most];
        std::vector<Place> left;
        const LaneInverse<T, T>& inverse = queue_.micro().template lane_inverse<T, T>();
        const Run* run = &runs_[static_cast<std::size_t>(item.task)];
        const Index end = item.first + item.count;
        for (Index first = item.first; first < end; first += inverse.lanes) {
            const Index count = std::min<Index>(inverse.lanes, end - first);
            for (Index l = 0; l < count; ++l) {
                while (first + l >= run->first + run->count) ++run;
                places[l] = {run->task, first + l - run->first};
            }
            invert_block(inverse, {places, static_cast<std::size_t>(count)}, left);
        }
        if (left.empty()) return;
        if (sizeof(T) == 4 && on_failure_ == OnFailure::jitter) left = invert_again(left);
        for (const Place& place : left) solve(place);
    }

    /// In float64. Returns the places whose matrices need a closer look.
    std::vector<Place> invert_again(std::span<const Place> places) const {
        const LaneInverse<T, double>& inverse = queue_.micro().template lane_inverse<T, double>();
        const auto most = static_cast<std::size_t>(inverse.lanes);
        std::vector<Place> left;
        for (std::size_t first = 0; first < places.size(); first += most)
            invert_block(inverse, places.subspan(first, std::min(places.size() - first, most)), left);
        return left;
    }

    template <class W>
    void invert_block(const LaneInverse<T, W>& inverse, std::span<const Place> places, std::vector<Place>& left) const {
        const Index order = (task(places[0].task).C.rows + 3) / 4 * 4, copy = bytes<T>(order * order);
        Index need = bytes<W>(inverse.words(order));
        for (const Place& place : places) {
            const DampedInverse<T>& of = task(place.task);
            need += (of.C.column_stride != 1 ? copy : 0) + (of.X.column_stride != 1 ? copy : 0);
        }
        Scratch<Inverter> scratch(need);
        W* const memory = scratch.template take<W>(inverse.words(order));
        LaneProblems<T> problems;
        problems.count = static_cast<int>(places.size());
        for (int l = 0; l < problems.count; ++l) set_problem(problems, l, places[static_cast<std::size_t>(l)], scratch);
        inverse.invert(order, problems, signs_for_lanes(), memory);
        for (int l = 0; l < problems.count; ++l) {
            const Place& place = places[static_cast<std::size_t>(l)];
            if (problems.solved >> l & 1)
                report(problems, l, place);
            else
                left.push_back(place);
        }
    }

    /// Lanes want rows of neighbours: others are copied, and so are the inverses that others want.
    template <class S>
    void set_problem(LaneProblems<T>& problems, int l, const Place& place, S& scratch) const {
        const DampedInverse<T>& of = task(place.task);
        const double damping = of.damping[place.matrix];
        const Index n = of.C.rows;
        problems.C[l] = of.C.data + place.matrix * of.C.batch_stride, problems.C_stride[l] = of.C.row_stride;
        problems.X[l] = of.X.data + place.matrix * of.X.batch_stride, problems.X_stride[l] = of.X.row_stride;
        problems.n[l] = n;
        // What is no damping makes the lane NaN.
        problems.shift[l] = damping >= 0 && !std::isinf(damping) ? damping : std::numeric_limits<double>::quiet_NaN();
        if (of.C.column_stride != 1) {
            const Matrix<const T> C = of.C[place.matrix];
            T* const rows = scratch.template take<T>(n * n);
            for (Index i = 0; i < n; ++i)
                for (Index j = 0; j < n; ++j) rows[i * n + j] = j <= i ? C(i, j) : T(0);
            problems.C[l] = rows, problems.C_stride[l] = n;
        }
        if (of.X.column_stride != 1) problems.X[l] = scratch.template take<T>(n * n), problems.X_stride[l] = n;
    }

    void report(const LaneProblems<T>& problems, int l, const Place& place) const {
        const DampedInverse<T>& of = task(place.task);
        InverseReport{Status::ok, 0, problems.residual[l], problems.log_det[l], 0}.store(of.reports.from(place.matrix));
        if (of.X.column_stride == 1) return;
        const Matrix<T> X = of.X[place.matrix];
        for (Index i = 0; i < X.rows; ++i)
            for (Index j = 0; j < X.columns; ++j) X(i, j) = problems.X[l][i * problems.X_stride[l] + j];
    }

    const Queue& queue_;
    const std::span<const DampedInverse<T>> group_;
    const OnFailure on_failure_;
    std::vector<Run> runs_;
    Index in_lanes_ = 0;  ///< matrices
    std::vector<Item> items_;
    SharedJobs<InverseJob<T>> jobs_;
};

}  // namespace

template <class T>
void damped_inverse(const Queue& queue, std::span<const DampedInverse<T>> group, OnFailure on_failure) {
    Inverter<T>(queue, group, on_failure).run();
}

template void damped_inverse(const Queue&, std::span<const DampedInverse<float>>, OnFailure);
template void damped_inverse(const Queue&, std::span<const DampedInverse<double>>, OnFailure);

}  // namespace curvblas::cpu
