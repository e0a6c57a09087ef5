#include "algorithms/sample_space_solve.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/damped_cholesky.h"
#include "kernels/eigenbasis.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/multiply.h"
#include "kernels/sample_space.h"
#include "kernels/triangular_solve.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr Index block_bytes = Index{128} << 20;  // of J, between two visits to K

template <class T>
Stack<T> one(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride, 1, 0};
}
template <class T>
Matrix<const T> read_only(const Matrix<T>& A) {
    return {A.data, A.rows, A.columns, A.row_stride, A.column_stride};
}
template <class T>
Matrix<const T> columns_of(const Matrix<const T>& A, Index first, Index count) {
    return {A.data + first * A.column_stride, A.data ? A.rows : 0, count, A.row_stride, A.column_stride};
}

template <class T>
class Memory {
  public:
    Memory(const Queue& queue, Index words) : memory_(queue.template scratch<T>(words)), next_(memory_.get()) {}
    T* take(Index words) { return std::exchange(next_, next_ + words); }
    Matrix<T> take(Index rows, Index columns) { return {take(rows * columns), rows, columns, columns, 1}; }

  private:
    decltype(std::declval<Queue>().template scratch<T>(0)) memory_;
    T* next_;
};

/// One matrix of a task.
template <class T>
struct System {
    Matrix<const T> J, rhs, previous;
    const double* damping;
    Matrix<T> x;
    Status* status;
    bool is_complex;

    Index rows() const { return J.rows; }
    Index unknowns() const { return is_complex ? 2 * J.rows : J.rows; }
    /// Columns between two visits to K; an even number.
    Index width() const {
        const Index fitting = block_bytes / (std::max<Index>(J.rows, 1) * static_cast<Index>(sizeof(T)));
        return std::clamp<Index>(J.columns, 1, std::max<Index>(fitting / 64 * 64, 64));
    }
    Index blocks() const { return std::max<Index>((J.columns + width() - 1) / width(), 1); }
    /// Words of T for a block: the turned rows and their products with J, or two rows.
    Index words_of_block() const {
        if (!is_complex) return 0;
        return std::max((J.rows + 2) * width() + J.rows * J.rows, 2 * width());
    }
    /// Numbers: K, L; the squares of a block and products with previous; y, e, w.
    Index numbers() const { return 2 * unknowns() * unknowns() + rows() * (rows() + 2) + 3 * unknowns(); }
};

template <class T>
class SampleSpace {
  public:
    SampleSpace(const Queue& queue, std::vector<System<T>> systems, double momentum)
        : queue_(queue),
          systems_(std::move(systems)),
          mu_(momentum),
          blocks_(queue, total([](const System<T>& s) { return s.words_of_block(); })),
          numbers_(queue, total([](const System<T>& s) { return s.numbers(); })),
          factor_status_(queue.template scratch<Status>(count())),
          momentum_(queue.copy_of(std::span<const double>(&mu_, 1))),
          needs_basis_(queue.template scratch<double>(count())) {
        for (const System<T>& s : systems_) {
            const Index M = s.unknowns(), N = s.rows();
            work_.push_back({blocks_.take(s.words_of_block()), numbers_.take(M, M), numbers_.take(M, M),
                             numbers_.take(N, N), numbers_.take(N, 2), numbers_.take(M), numbers_.take(M),
                             numbers_.take(M)});
            most_blocks_ = std::max(most_blocks_, s.blocks());
        }
    }

    void run() {
        for (Index block = 0; block < most_blocks_; ++block) add_block(block);
        factorise();
        solve_by_basis();
        refuse();
        for (Index block = 0; block < most_blocks_; ++block) expand_block(block);
    }

  private:
    struct Work {
        T* block;
        Matrix<double> K, L, R, P;
        double *y, *e, *w;
    };
    static constexpr double eps = 16 * static_cast<double>(std::numeric_limits<T>::epsilon());

    Index count() const { return static_cast<Index>(systems_.size()); }
    template <class Words>
    Index total(const Words& words) const {
        Index sum = 0;
        for (const System<T>& s : systems_) sum += words(s);
        return sum;
    }
    /// Calls f(k, first column, columns) for the systems that have such a block.
    template <class F>
    void for_each_with(Index block, const F& f) const {
        for (std::size_t k = 0; k < systems_.size(); ++k) {
            const Index first = block * systems_[k].width();
            if (block < systems_[k].blocks()) f(k, first, std::min(systems_[k].width(), systems_[k].J.columns - first));
        }
    }

    /// K and y with what some columns of J give.
    void add_block(Index block) {
        std::vector<SampleSpaceTurn<T>> turns;
        std::vector<SampleSpaceParts<T>> parts;
        std::vector<Product<T>> products;
        std::vector<Gram<T>> squares;
        std::vector<SampleSpaceAdd<T>> sums;
        for_each_with(block, [&](std::size_t k, Index first, Index length) {
            const System<T>& s = systems_[k];
            const Work& w = work_[k];
            const Matrix<const T> J = columns_of(s.J, first, length);
            Matrix<const T> V = columns_of(s.previous, first, length), I{};
            if (s.is_complex) {
                const Matrix<T> S{w.block, s.rows(), length, length, 1};
                const Matrix<T> own{w.block + s.rows() * s.width(), 2, length, length, 1};
                const Matrix<T> imaginary{own.data + 2 * s.width(), s.rows(), s.rows(), s.rows(), 1};
                turns.push_back({J, S});
                if (V.data) parts.push_back({V, own}), V = read_only(own);
                products.push_back({one(read_only(S)), transposed(one(J)), one(imaginary)});
                I = read_only(imaginary);
            }
            const Matrix<double> P{w.P.data, s.rows(), V.data ? V.rows : 0, V.data ? V.rows : 1, 1};
            squares.push_back(
                {one(J), V.data ? one(V) : Stack<const T>{}, one(w.R), V.data ? one(P) : Stack<double>{}});
            sums.push_back({read_only(w.R), read_only(P), I, block == 0, w.K, w.y});
        });
        for_each_element<SampleSpaceTurn<T>>(queue_, turns);
        for_each_element<SampleSpaceParts<T>>(queue_, parts);
        multiply<T>(queue_, products);
        gram<T>(queue_, squares);
        for_each_element<SampleSpaceAdd<T>>(queue_, sums);
    }

    /// w = (K + damping I)^-1 e by L, and where that is not to be trusted.
    void factorise() {
        std::vector<SampleSpaceRight<T>> rights;
        std::vector<DampedCholesky<double>> factors;
        std::vector<TriangularSolve<double>> solves;
        std::vector<SampleSpaceJudge> judges;
        const auto reports = queue_.template scratch<double>(2 * count());
        const auto minor = queue_.template scratch<Index>(count());
        for (std::size_t k = 0; k < systems_.size(); ++k) {
            const System<T>& s = systems_[k];
            const Work& w = work_[k];
            const Index M = s.unknowns();
            rights.push_back({s.rhs, s.is_complex, s.previous.data ? mu_ : 0, w.y, w.e});
            factors.push_back({one(read_only(w.K)),
                               s.damping,
                               one(w.L),
                               {&factor_status_[k], reports.get() + k, reports.get() + count() + k, minor.get() + k}});
            solves.push_back({one(read_only(w.L)), one(Matrix<const double>{w.e, M, 1, 1, 1}),
                              one(Matrix<double>{w.w, M, 1, 1, 1})});
            judges.push_back(
                {read_only(w.K), read_only(w.L), w.e, s.damping, eps, &factor_status_[k], s.status, &needs_basis_[k]});
        }
        for_each_element<SampleSpaceRight<T>>(queue_, rights);
        damped_cholesky<double>(queue_, factors, OnFailure::raise);
        triangular_solve<double>(queue_, solves, TriangularSystem::cholesky);
        for_each_element<SampleSpaceJudge>(queue_, judges);
    }

    /// w by eigenvectors, where that is needed; they take the place of L.
    void solve_by_basis() {
        const std::vector<double> needed = on_host(queue_, needs_basis_.get(), count());
        std::vector<Eigenbasis<double>> bases;
        std::vector<SampleSpaceProject> projections;
        std::vector<SampleSpaceExpand> expansions;
        const auto residuals = queue_.template scratch<double>(count());
        Index most = 0;
        for (std::size_t k = 0; k < systems_.size(); ++k)
            if (needed[k] != 0) most += systems_[k].unknowns();
        const auto values = queue_.template scratch<double>(most);
        double* next = values.get();
        for (std::size_t k = 0; k < systems_.size(); ++k) {
            if (needed[k] == 0) continue;
            const System<T>& s = systems_[k];
            const Work& w = work_[k];
            double* const own = std::exchange(next, next + s.unknowns());
            bases.push_back({one(read_only(w.K)), {}, own, one(w.L), {&factor_status_[k], residuals.get() + k}});
            projections.push_back({read_only(w.L), own, w.e, s.damping, eps, &factor_status_[k], w.y, s.status});
            expansions.push_back({read_only(w.L), w.y, w.w});
        }
        eigenbasis<double>(queue_, bases);
        for_each_element<SampleSpaceProject>(queue_, projections);
        for_each_element<SampleSpaceExpand>(queue_, expansions);
    }

    void refuse() {
        std::vector<SampleSpaceRefuse> refusals;
        for (std::size_t k = 0; k < systems_.size(); ++k)
            refusals.push_back({systems_[k].unknowns(), systems_[k].status, work_[k].w});
        for_each_element<SampleSpaceRefuse>(queue_, refusals);
    }

    /// Some columns of x.
    void expand_block(Index block) {
        std::vector<LowRankApply<T>> sums;
        std::vector<SampleSpaceJoin<T>> joins;
        for_each_with(block, [&](std::size_t k, Index first, Index length) {
            const System<T>& s = systems_[k];
            const Work& w = work_[k];
            const Matrix<const T> J = columns_of(s.J, first, length), V = columns_of(s.previous, first, length);
            const Matrix<T> x{s.x.data + first * s.x.column_stride, 1, length, s.x.row_stride, s.x.column_stride};
            if (s.is_complex) {
                const Matrix<T> U{w.block, 2, length, length, 1};
                sums.push_back({one(Matrix<const double>{w.w, 2, s.rows(), s.rows(), 1}), one(J), {}, nullptr, one(U)});
                joins.push_back({read_only(U), V, s.previous.data ? mu_ : 0, x});
                return;
            }
            sums.push_back({one(Matrix<const double>{w.w, 1, s.rows(), s.rows(), 1}), one(J),
                            V.data ? one(V) : Stack<const T>{}, V.data ? momentum_.get() : nullptr, one(x)});
        });
        low_rank_apply<T>(queue_, sums);
        for_each_element<SampleSpaceJoin<T>>(queue_, joins);
    }

    const Queue& queue_;
    const std::vector<System<T>> systems_;
    const double mu_;
    Memory<T> blocks_;
    Memory<double> numbers_;
    decltype(std::declval<Queue>().template scratch<Status>(0)) factor_status_;
    decltype(std::declval<Queue>().copy_of(std::span<const double>())) momentum_;
    decltype(std::declval<Queue>().template scratch<double>(0)) needs_basis_;
    std::vector<Work> work_;
    Index most_blocks_ = 0;
};

}  // namespace

template <class T>
void sample_space_solve(const Queue& queue, std::span<const SampleSpaceSolve<T>> group, double momentum) {
    std::vector<System<T>> systems;
    for (const auto& [J, rhs, previous, damping, x, status, is_complex] : group)
        for (Index b = 0; b < J.batch; ++b)
            systems.push_back({J[b], rhs[b], previous.data ? previous[b] : Matrix<const T>{}, damping + b, x[b],
                               status + b, is_complex});
    SampleSpace<T>(queue, std::move(systems), momentum).run();
}

template void sample_space_solve(const Queue&, std::span<const SampleSpaceSolve<float>>, double);
template void sample_space_solve(const Queue&, std::span<const SampleSpaceSolve<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
