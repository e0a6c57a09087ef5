#include "algorithms/sample_space_solve.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "algorithms/sample_system.h"
#include "algorithms/workspace.h"
#include "kernels/gram.h"
#include "kernels/low_rank_apply.h"
#include "kernels/on_host.h"
#include "kernels/sample_space.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr Index block_bytes = Index{32} << 20;  // of J, between two visits to K
constexpr Index most_bytes = 4 * block_bytes;  // of turned rows of complex J, or a group would have a copy of all its J

template <class T>
Matrix<const T> columns_of(const Matrix<const T>& A, Index first, Index count) {
    return {A.data + first * A.column_stride, A.data ? A.rows : 0, count, A.row_stride, A.column_stride};
}

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
    /// Words of T for a block of complex J: what SampleSpaceEmbed makes of it, and later two rows of J^H w.
    Index words_of_block() const { return is_complex ? (2 * J.rows + 2) * width() : 0; }
    /// Numbers: K, and the squares of a block; products with previous of a block, and of all; e, w.
    Index numbers() const { return unknowns() * (2 * unknowns() + 4); }
};

template <class T>
class SampleSpace {
  public:
    SampleSpace(const Queue& queue, std::span<const System<T>> systems, double momentum)
        : queue_(queue),
          systems_(systems),
          mu_(momentum),
          blocks_(queue, total([](const System<T>& s) { return s.words_of_block(); })),
          numbers_(queue, total([](const System<T>& s) { return s.numbers(); })),
          momentum_(queue.copy_of(std::span<const double>(&mu_, 1))) {
        for (const System<T>& s : systems_) {
            const Index M = s.unknowns();
            work_.push_back({blocks_.take(s.words_of_block()), numbers_.take(M, M), numbers_.take(M, M),
                             numbers_.take(M, 1), numbers_.take(M), numbers_.take(M), numbers_.take(M)});
            most_blocks_ = std::max(most_blocks_, s.blocks());
        }
    }

    void run() {
        is_exact_.assign(systems_.size(), false);
        for (Index block = 0; block < most_blocks_; ++block) add_block(block);
        if (find_unfit())
            for (Index block = 0; block < most_blocks_; ++block) add_block(block);
        solve();
        for (Index block = 0; block < most_blocks_; ++block) expand_block(block);
    }

  private:
    struct Work {
        T* block;
        Matrix<double> K, R, P;
        double *y, *e, *w;
    };

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

    /// Whether squares of float32 rows overflow or may have vanished; K and y of these are formed again, in float64.
    bool find_unfit() {
        if constexpr (sizeof(T) == sizeof(double)) return false;
        std::vector<SampleSpaceFit> fits;
        const auto flags = queue_.template scratch<double>(static_cast<Index>(systems_.size()));
        for (std::size_t k = 0; k < systems_.size(); ++k) {
            const double columns = static_cast<double>(std::max<Index>(systems_[k].J.columns, 1));
            const double least =
                systems_[k].unknowns() > most_exact_rows ? columns * std::numeric_limits<float>::min() : 0;
            fits.push_back({read_only(work_[k].K), least, std::numeric_limits<float>::max(), flags.get() + k});
        }
        for_each_element<SampleSpaceFit>(queue_, fits);
        const std::vector<double> found = on_host(queue_, flags.get(), static_cast<Index>(systems_.size()));
        for (std::size_t k = 0; k < found.size(); ++k)
            is_exact_[k] = found[k] != 0 && systems_[k].unknowns() > most_exact_rows;
        is_second_ = true;
        return std::find(is_exact_.begin(), is_exact_.end(), true) != is_exact_.end();
    }

    /// K and y with what some columns of J give.
    void add_block(Index block) {
        std::vector<SampleSpaceEmbed<T>> embeddings;
        std::vector<Gram<T>> squares;
        std::vector<SampleSpaceAdd> sums;
        for_each_with(block, [&](std::size_t k, Index first, Index length) {
            if (is_second_ && !is_exact_[k]) return;
            const System<T>& s = systems_[k];
            const Work& w = work_[k];
            const Index M = s.unknowns();
            Matrix<const T> J = columns_of(s.J, first, length), V = columns_of(s.previous, first, length);
            const bool has_previous = V.data != nullptr;
            if (s.is_complex) {
                embeddings.push_back({J, V, {w.block, M + 1, length, length, 1}});
                J = {w.block, M, length, length, 1}, V = {w.block + M * length, 1, length, length, 1};
            }
            const Matrix<double> P{w.P.data, M, has_previous ? 1 : 0, 1, 1};
            const Gram<T> products{as_stack(J), has_previous ? as_stack(V) : Stack<const T>{}, as_stack(w.R),
                                   has_previous ? as_stack(P) : Stack<double>{}};
            is_exact_[k] ? append_exact(squares, products) : squares.push_back(products);
            sums.push_back({read_only(w.R), read_only(P), block == 0, w.K, w.y});
        });
        for_each_element<SampleSpaceEmbed<T>>(queue_, embeddings);
        gram<T>(queue_, squares);
        for_each_element<SampleSpaceAdd>(queue_, sums);
    }

    void solve() {
        std::vector<SampleSpaceRight<T>> rights;
        std::vector<SampleSystem> systems;
        for (std::size_t k = 0; k < systems_.size(); ++k) {
            const System<T>& s = systems_[k];
            const Work& w = work_[k];
            rights.push_back({s.rhs, s.is_complex, s.previous.data ? mu_ : 0, w.y, w.e});
            systems.push_back({read_only(w.K), w.e, s.damping, static_cast<double>(std::numeric_limits<T>::epsilon()),
                               most_square<T>, w.w, s.status});
        }
        for_each_element<SampleSpaceRight<T>>(queue_, rights);
        solve_sample_systems(queue_, systems);
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
                sums.push_back({as_stack(Matrix<const double>{w.w, 2, s.rows(), s.rows(), 1}),
                                as_stack(J),
                                {},
                                nullptr,
                                as_stack(U)});
                joins.push_back({read_only(U), V, s.previous.data ? mu_ : 0, x});
                return;
            }
            sums.push_back({as_stack(Matrix<const double>{w.w, 1, s.rows(), s.rows(), 1}), as_stack(J),
                            V.data ? as_stack(V) : Stack<const T>{}, V.data ? momentum_.get() : nullptr, as_stack(x)});
        });
        low_rank_apply<T>(queue_, sums);
        for_each_element<SampleSpaceJoin<T>>(queue_, joins);
    }

    const Queue& queue_;
    const std::span<const System<T>> systems_;
    const double mu_;
    Workspace<T> blocks_;
    Workspace<double> numbers_;
    decltype(std::declval<Queue>().copy_of(std::span<const double>())) momentum_;
    std::vector<Work> work_;
    Index most_blocks_ = 0;
    std::vector<bool> is_exact_;
    bool is_second_ = false;
};

}  // namespace

template <class T>
void sample_space_solve(const Queue& queue, std::span<const SampleSpaceSolve<T>> group, double momentum) {
    std::vector<System<T>> systems;
    for (const auto& [J, rhs, previous, damping, x, status, is_complex] : group)
        for (Index b = 0; b < J.batch; ++b)
            systems.push_back({J[b], rhs[b], previous.data ? previous[b] : Matrix<const T>{}, damping + b, x[b],
                               status + b, is_complex});
    for (std::size_t first = 0, last; first < systems.size(); first = last) {
        Index words = systems[first].words_of_block();
        for (last = first + 1; last < systems.size(); ++last) {
            words += systems[last].words_of_block();
            if (words * static_cast<Index>(sizeof(T)) > most_bytes) break;
        }
        SampleSpace<T>(queue, std::span(systems).subspan(first, last - first), momentum).run();
    }
}

template void sample_space_solve(const Queue&, std::span<const SampleSpaceSolve<float>>, double);
template void sample_space_solve(const Queue&, std::span<const SampleSpaceSolve<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
