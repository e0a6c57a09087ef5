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
    static constexpr Index most_blocks = 2, most_places = most_blocks * LaneProblems<T>::most;

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
        std::vector<Place> left;
        const LaneInverse<T, T>& inverse = queue_.micro().template lane_inverse<T, T>();
        const Run* run = &runs_[static_cast<std::size_t>(item.task)];
        std::array<Place, most_places> places;
        const Index end = item.first + item.count, most = places_of(inverse, run->n);
        for (Index first = item.first; first < end; first += most) {
            const Index count = std::min(most, end - first);
            for (Index p = 0; p < count; ++p) {
                while (first + p >= run->first + run->count) ++run;
                places[static_cast<std::size_t>(p)] = {run->task, first + p - run->first};
            }
            invert_blocks(inverse, {places.data(), static_cast<std::size_t>(count)}, left);
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
            invert_blocks(inverse, places.subspan(first, std::min(places.size() - first, most)), left);
        return left;
    }

    /// How many matrices are handed over together: of tiny ones, a few blocks of lanes.
    template <class W>
    static Index places_of(const LaneInverse<T, W>& inverse, Index largest) {
        return inverse.lanes * (largest <= 8 ? most_blocks : 1);
    }

    /// The first of `places` has the largest matrix.
    template <class W>
    void invert_blocks(const LaneInverse<T, W>& inverse, std::span<const Place> places,
                       std::vector<Place>& left) const {
        const Index order = (task(places[0].task).C.rows + 3) / 4 * 4, copy = bytes<T>(order * order);
        const auto width = static_cast<std::size_t>(inverse.lanes), blocks = (places.size() + width - 1) / width;
        const Index words = inverse.words(order) * static_cast<Index>(blocks);
        Index need = bytes<W>(words);
        for (const Place& place : places) {
            const DampedInverse<T>& of = task(place.task);
            need += (of.C.column_stride != 1 ? copy : 0) + (of.X.column_stride != 1 ? copy : 0);
        }
        Scratch<Inverter> scratch(need);
        W* const memory = scratch.template take<W>(words);
        std::array<LaneProblems<T>, most_blocks> problems;
        for (std::size_t b = 0; b < blocks; ++b) set_problems(problems[b], part(places, b, width), scratch);
        inverse.invert(order, problems.data(), static_cast<Index>(blocks), signs_for_lanes(), memory);
        for (std::size_t b = 0; b < blocks; ++b) report(problems[b], part(places, b, width), left);
    }

    static std::span<const Place> part(std::span<const Place> places, std::size_t b, std::size_t width) {
        return places.subspan(b * width, std::min(width, places.size() - b * width));
    }

    template <class S>
    void set_problems(LaneProblems<T>& problems, std::span<const Place> places, S& scratch) const {
        problems.count = static_cast<int>(places.size());
        std::fill(std::begin(problems.shift), std::end(problems.shift), 0.0);
        if (is_stretch_of_rows(places)) return set_stretch(problems, places[0]);
        for (int l = 0; l < problems.count; ++l) set_problem(problems, l, places[static_cast<std::size_t>(l)], scratch);
    }

    void report(const LaneProblems<T>& problems, std::span<const Place> places, std::vector<Place>& left) const {
        if (problems.solved == (1u << problems.count) - 1 && is_stretch_of_rows(places))
            return report_stretch(problems, places[0]);
        for (int l = 0; l < problems.count; ++l) {
            const Place& place = places[static_cast<std::size_t>(l)];
            if (problems.solved >> l & 1)
                report(problems, l, place);
            else
                left.push_back(place);
        }
    }

    /// Neighbours in one stack, whose rows are as the lanes want them: most blocks are, and need no look at each place.
    bool is_stretch_of_rows(std::span<const Place> places) const {
        const Place& first = places.front();
        const DampedInverse<T>& of = task(first.task);
        return places.back().task == first.task &&
               places.back().matrix - first.matrix + 1 == static_cast<Index>(places.size()) &&
               of.C.column_stride == 1 && of.X.column_stride == 1;
    }

    void set_stretch(LaneProblems<T>& problems, const Place& first) const {
        const DampedInverse<T>& of = task(first.task);
        const T* C = of.C.data + first.matrix * of.C.batch_stride;
        T* X = of.X.data + first.matrix * of.X.batch_stride;
        for (int l = 0; l < problems.count; ++l, C += of.C.batch_stride, X += of.X.batch_stride) {
            problems.C[l] = C, problems.C_stride[l] = of.C.row_stride;
            problems.X[l] = X, problems.X_stride[l] = of.X.row_stride;
            problems.n[l] = of.C.rows, problems.shift[l] = shift_of(of.damping[first.matrix + l]);
        }
    }

    void report_stretch(const LaneProblems<T>& problems, const Place& first) const {
        const InverseReports to = task(first.task).reports.from(first.matrix);
        for (int l = 0; l < problems.count; ++l)
            to.status[l] = Status::ok, to.jitter[l] = 0, to.minor[l] = 0, to.residual[l] = problems.residual[l],
            to.log_det[l] = problems.log_det[l];
    }

    /// What is no damping makes the lane NaN.
    static double shift_of(double damping) {
        return damping >= 0 && !std::isinf(damping) ? damping : std::numeric_limits<double>::quiet_NaN();
    }

    /// Lanes want rows of neighbours: others are copied, and so are the inverses that others want.
    template <class S>
    void set_problem(LaneProblems<T>& problems, int l, const Place& place, S& scratch) const {
        const DampedInverse<T>& of = task(place.task);
        const Index n = of.C.rows;
        problems.C[l] = of.C.data + place.matrix * of.C.batch_stride, problems.C_stride[l] = of.C.row_stride;
        problems.X[l] = of.X.data + place.matrix * of.X.batch_stride, problems.X_stride[l] = of.X.row_stride;
        problems.n[l] = n, problems.shift[l] = shift_of(of.damping[place.matrix]);
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
    SharedJobs<InverseJob<T>> jobs_{1};
};

}  // namespace

template <class T>
void damped_inverse(const Queue& queue, std::span<const DampedInverse<T>> group, OnFailure on_failure) {
    Inverter<T>(queue, group, on_failure).run();
}

template void damped_inverse(const Queue&, std::span<const DampedInverse<float>>, OnFailure);
template void damped_inverse(const Queue&, std::span<const DampedInverse<double>>, OnFailure);

}  // namespace curvblas::cpu
