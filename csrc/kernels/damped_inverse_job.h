// One damped inverse from the first look at the matrix to its report: the ladder and the residual of damped_inverse.h.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "cpu/blocked_inverse.h"
#include "cpu/scratch.h"
#include "kernels/damped_inverse.h"
#include "kernels/jitter_ladder.h"

namespace curvblas::cpu {

/// One entry of the reports.
struct InverseReport {
    Status status;
    double jitter, residual, log_det;
    Index minor;

    void store(const InverseReports& to) const {
        *to.status = status, *to.jitter = jitter, *to.residual = residual, *to.log_det = log_det, *to.minor = minor;
    }
};

constexpr Index further_probes = 16;

/// Steps as those of BlockedInverse, which are most of them: parts of one step may be shared by threads, `next` is
/// called by one.
template <class T>
class InverseJob {
  public:
    InverseJob(const Micro& micro, const DampedInverse<T>& task, Index matrix, OnFailure on_failure,
               std::byte* workspace);
    /// Of the workspace, 64-byte aligned and uninitialised.
    static Index bytes(const Micro& micro, Index n) { return BlockedInverse<T, T>(micro, n).bytes(); }

    /// Begins the next step; false at the end, when X and its report are written.
    bool next();
    Index parts() const;
    double cost(Index part) const;
    void work(Index part);

  private:
    enum class Step : std::uint8_t { look, invert, probe_X, probe_A };

    bool looked();
    void attempt(bool wide, double jitter);
    bool next_of_attempt();
    bool probed();
    void begin_probe();
    bool assessed();
    bool attempted(const InverseReport& report);
    bool finish(const InverseReport& report);

    Index begin(Index part) const { return part * rows_per_part; }
    Index end(Index part) const { return std::min(n_, begin(part + 1)); }
    double shift() const { return damping_ + jitter_; }
    double norm(const T* A, Index ld, double squares) const;
    double sum_of_parts(Index i) const;
    double sum_of_squares() const;

    static constexpr Index rows_per_part = 128;
    const Micro& micro_;
    const DampedInverse<T>& task_;
    const Index matrix_, n_, row_parts_;
    const OnFailure on_failure_;
    const double damping_;
    const bool is_direct_;  ///< X is written where it is wanted, before it is known to be good
    Step step_ = Step::look;
    bool is_started_ = false, has_failed_ = false, wide_ = false;
    Index first_minor_ = 0, probe_ = 0, probes_ = 0;
    double jitter_ = 0, norm_A_ = 0, norms_ = 0, estimate_ = 0, squares_ = 0;
    std::optional<JitterLadder> ladder_;

    const T* A_ = nullptr;
    T* X_ = nullptr;
    Index lda_ = 0, ldx_ = 0;
    std::byte* const workspace_;
    Block copy_of_A_, copy_of_X_, wide_workspace_;
    std::optional<BlockedInverse<T, T>> narrow_inverse_;
    std::optional<BlockedInverse<T, double>> wide_inverse_;
    std::vector<double> z_, y_, products_, squares_of_rows_;
};

}  // namespace curvblas::cpu
