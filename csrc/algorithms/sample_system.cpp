#include "algorithms/sample_system.h"

#include <algorithm>
#include <vector>

#include "algorithms/workspace.h"
#include "kernels/damped_cholesky.h"
#include "kernels/eigenbasis.h"
#include "kernels/on_host.h"
#include "kernels/sample_space.h"
#include "kernels/triangular_solve.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr double least = 16;  // roundings that K may be wrong by, whatever its size

class SampleSystems {
  public:
    SampleSystems(const Queue& queue, std::span<const SampleSystem> systems)
        : queue_(queue),
          systems_(systems),
          numbers_(queue, words()),
          factor_status_(queue.template scratch<Status>(count())),
          needs_basis_(queue.template scratch<double>(count())) {
        for (const SampleSystem& s : systems_) {
            const Index M = s.K.rows;
            work_.push_back({numbers_.take(M, M), numbers_.take(M), numbers_.take(M)});
        }
    }

    void run() {
        factorise();
        solve_by_basis();
        std::vector<SampleSpaceRefuse> refusals;
        for (const SampleSystem& s : systems_) refusals.push_back({s.K.rows, s.e, s.most, s.status, s.w});
        for_each_element<SampleSpaceRefuse>(queue_, refusals);
    }

  private:
    /// L, or the eigenvectors in its place; the eigenvalues, and the coefficients of w.
    struct Work {
        Matrix<double> L;
        double *values, *y;
    };

    Index count() const { return static_cast<Index>(systems_.size()); }
    Index words() const {
        Index sum = 0;
        for (const SampleSystem& s : systems_) sum += s.K.rows * (s.K.rows + 2);
        return sum;
    }

    void factorise() {
        std::vector<DampedCholesky<double>> factors;
        std::vector<TriangularSolve<double>> solves;
        std::vector<SampleSpaceJudge> judges;
        const auto reports = queue_.template scratch<double>(2 * count());
        const auto minor = queue_.template scratch<Index>(count());
        for (std::size_t k = 0; k < systems_.size(); ++k) {
            const SampleSystem& s = systems_[k];
            const Matrix<double>& L = work_[k].L;
            factors.push_back({as_stack(s.K),
                               s.damping,
                               as_stack(L),
                               {&factor_status_[k], reports.get() + k, reports.get() + count() + k, minor.get() + k}});
            solves.push_back({as_stack(read_only(L)), as_stack(Matrix<const double>{s.e, L.rows, 1, 1, 1}),
                              as_stack(Matrix<double>{s.w, L.rows, 1, 1, 1})});
            judges.push_back(
                {s.K, read_only(L), s.e, s.damping, least * s.eps, &factor_status_[k], s.status, &needs_basis_[k]});
        }
        damped_cholesky<double>(queue_, factors, OnFailure::raise);
        triangular_solve<double>(queue_, solves, TriangularSystem::cholesky);
        for_each_element<SampleSpaceJudge>(queue_, judges);
    }

    void solve_by_basis() {
        const std::vector<double> needed = on_host(queue_, needs_basis_.get(), count());
        std::vector<Eigenbasis<double>> bases;
        std::vector<SampleSpaceProject> projections;
        std::vector<SampleSpaceExpand> expansions;
        const auto residuals = queue_.template scratch<double>(count());
        for (std::size_t k = 0; k < systems_.size(); ++k) {
            if (needed[k] == 0) continue;
            const SampleSystem& s = systems_[k];
            const auto& [V, values, y] = work_[k];
            const double left_out = std::max(static_cast<double>(V.rows), least) * s.eps;
            bases.push_back({as_stack(s.K), {}, values, as_stack(V), {&factor_status_[k], residuals.get() + k}});
            projections.push_back({read_only(V), values, s.e, s.damping, left_out, &factor_status_[k], y, s.status});
            expansions.push_back({read_only(V), y, s.w});
        }
        eigenbasis<double>(queue_, bases);
        for_each_element<SampleSpaceProject>(queue_, projections);
        for_each_element<SampleSpaceExpand>(queue_, expansions);
    }

    const Queue& queue_;
    const std::span<const SampleSystem> systems_;
    Workspace<double> numbers_;
    decltype(std::declval<Queue>().template scratch<Status>(0)) factor_status_;
    decltype(std::declval<Queue>().template scratch<double>(0)) needs_basis_;
    std::vector<Work> work_;
};

}  // namespace

void solve_sample_systems(const Queue& queue, std::span<const SampleSystem> systems) {
    SampleSystems(queue, systems).run();
}

}  // namespace curvblas::CURVBLAS_BACKEND
