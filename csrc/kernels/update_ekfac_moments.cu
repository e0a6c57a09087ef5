#include <algorithm>
#include <vector>

#include "core/moving_average.h"
#include "cuda/rows.cuh"
#include "kernels/ekfac_plan.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int edge = 64;

/// Some cases of one matrix, and where in scratch what is computed of them begins. `K` are the gradients G_n^T A_n,
/// with sum_first.
struct Piece {
    int task, b;
    Index first, cases;
    Order order;
    Index q, p, X_rows, Y_rows;
    Index K, X, Y, sums;
    int splits;  // ranges of cases, so that small matrices with many cases occupy the device too
};

/// The rows [begin, begin + rows) of R, times Q, squared element by element if asked; where in scratch they go.
template <class T>
struct Projection {
    Rows R;
    bool bias, square;
    int b;
    Index begin, rows;
    Matrix<const T> Q;
    Index to;
};

/// Tile (i, j) of a piece, of its case or range of cases `part`; or of a projection.
struct Block {
    int of, part, i, j;
};

/// K_n = G_n^T A_n, one tile.
template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    sum_positions(const UpdateEkfacMoments<T>* tasks, const Piece* pieces, const Block* blocks, T* scratch) {
    const Block block = blocks[blockIdx.x];
    const Piece& piece = pieces[block.of];
    const UpdateEkfacMoments<T>& task = tasks[piece.task];
    const BiasedRows<T> A(task.A, piece.b, task.bias), G(task.G, piece.b, false);
    const Index begin = (piece.first + block.part) * task.A.T, end = begin + task.A.T;
    const Index i0 = Index{block.i} * edge, j0 = Index{block.j} * edge;
    const auto is_there = [&](Index r) { return r < end; };
    Tile<T> tile;
    tile.accumulate(
        end - begin, [&](T* to, Index k0) { G.stage_as_steps(to, begin + k0, 0, i0, is_there); },
        [&](T* to, Index k0) { A.stage_as_steps(to, begin + k0, 0, j0, is_there); });
    const Index q = piece.q, p = piece.p;
    T* const K = scratch + piece.K + block.part * q * p;
    tile.for_each([&](int di, int dj, T& sum) {
        if (i0 + di < q && j0 + dj < p) K[(i0 + di) * p + j0 + dj] = sum;
    });
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    project(const Projection<T>* projections, const Block* blocks, T* scratch) {
    const Block block = blocks[blockIdx.x];
    const Projection<T>& own = projections[block.of];  // not copied: it would take registers from the tile
    const BiasedRows<T> R(own.R, own.b, own.bias);
    const Index i0 = Index{block.i} * edge, j0 = Index{block.j} * edge, n = own.Q.rows;
    const Panel<T> Q{own.Q.data, n, n, own.Q.row_stride, own.Q.column_stride};
    Tile<T> tile;
    tile.accumulate(
        n, [&](T* to, Index k0) { R.stage_as_elements(to, k0, own.begin + i0, own.begin + own.rows); },
        [&](T* to, Index k0) { Q.stage(to, k0, j0); });
    T* const to = scratch + own.to;
    const Index rows = own.rows;
    const bool square = own.square;
    tile.for_each([&](int di, int dj, T& x) {
        if (i0 + di < rows && j0 + dj < n) to[(i0 + di) * n + j0 + dj] = square ? x * x : x;
    });
}

/// updated = decay S + scale sum for one tile; later pieces of a matrix add to what the first one left.
template <class T>
__device__ void finish(const UpdateEkfacMoments<T>& task, const Piece& piece, const Block& block, Tile<T>& tile) {
    const MovingAverage<T> average(task.decay[piece.b], task.scale ? task.scale + piece.b : nullptr, task.A.N);
    const Matrix<const T> S = task.S[piece.b];
    const Matrix<T> updated = task.updated[piece.b];
    const bool is_first = piece.first == 0;
    tile.for_each([&](int di, int dj, T& sum) {
        const Index i = Index{block.i} * edge + di, j = Index{block.j} * edge + dj;
        if (i >= updated.rows || j >= updated.columns) return;
        const T old = is_first ? average.kept(S(i, j)) : updated(i, j);
        updated(i, j) = fma(average.add, sum, old);
    });
}

/// The sum of M_n o M_n over a range of cases, one tile.
template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    sum_squares(const UpdateEkfacMoments<T>* tasks, const Piece* pieces, const Block* blocks, T* scratch) {
    const Block block = blocks[blockIdx.x];
    const Piece& piece = pieces[block.of];
    const UpdateEkfacMoments<T>& task = tasks[piece.task];
    const Index per_split = (piece.cases + piece.splits - 1) / piece.splits;
    const Index begin = min(block.part * per_split, piece.cases), end = min(begin + per_split, piece.cases);
    const Index q = piece.q, p = piece.p, i0 = Index{block.i} * edge, j0 = Index{block.j} * edge;
    const auto add_product = [&](Tile<T>& to, const Panel<T>& x, const Panel<T>& y) {
        to.accumulate(
            y.steps, [&](T* at, Index k0) { x.stage(at, k0, i0); }, [&](T* at, Index k0) { y.stage(at, k0, j0); });
    };
    const T *const X = scratch + piece.X, *const Y = scratch + piece.Y;
    Tile<T> sum;
    if (piece.order == Order::squares) {
        const Index count = end - begin;
        add_product(sum, {X + begin * q, count, q, q, 1}, {Y + begin * p, count, p, p, 1});
    } else {
        const Matrix<const T> Q_G = task.Q_G[piece.b];
        for (Index n = begin; n < end; ++n) {
            const bool stored = piece.order == Order::project_first;
            const Panel<T> X_n = stored ? Panel<T>{X + n * piece.X_rows * q, piece.X_rows, q, q, 1}
                                        : Panel<T>{Q_G.data, q, q, Q_G.row_stride, Q_G.column_stride};
            Tile<T> M;
            add_product(M, X_n, {Y + n * piece.Y_rows * p, piece.Y_rows, p, p, 1});
            sum.add_squares(M);
        }
    }
    if (piece.splits == 1) return finish(task, piece, block, sum);
    T* const own = scratch + piece.sums + block.part * q * p;
    sum.for_each([&](int di, int dj, T& x) {
        if (i0 + di < q && j0 + dj < p) own[(i0 + di) * p + j0 + dj] = x;
    });
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    join_squares(const UpdateEkfacMoments<T>* tasks, const Piece* pieces, const Block* blocks, const T* scratch) {
    const Block block = blocks[blockIdx.x];
    const Piece& piece = pieces[block.of];
    const Index q = piece.q, p = piece.p;
    Tile<T> tile;
    tile.for_each([&](int di, int dj, T& sum) {
        const Index i = Index{block.i} * edge + di, j = Index{block.j} * edge + dj;
        for (int s = 0; s < piece.splits && i < q && j < p; ++s) sum += scratch[piece.sums + (s * q + i) * p + j];
    });
    finish(tasks[piece.task], piece, block, tile);
}

int tiles(Index n) { return static_cast<int>((n + edge - 1) / edge); }

int splits_of(const Piece& piece) {
    constexpr Index steps_per_split = 2048, enough_tiles = 64;
    const Index depth = piece.order == Order::sum_first ? piece.q : piece.Y_rows;
    const Index most = enough_tiles / std::max<Index>(Index{tiles(piece.q)} * tiles(piece.p), 1);
    return static_cast<int>(std::max<Index>(std::min({piece.cases * depth / steps_per_split, most, piece.cases}), 1));
}

/// Pieces that are done together, no two of one matrix: each step is one launch for all of them.
template <class T>
class Round {
  public:
    explicit Round(std::span<const UpdateEkfacMoments<T>> group, const UpdateEkfacMoments<T>* tasks)
        : group_(group), tasks_(tasks) {}

    /// In words: the scratch of the pieces so far.
    Index size() const { return size_; }

    void add(int task, int b, const EkfacPlan& plan, Index first) {
        Piece piece{};
        piece.task = task, piece.b = b, piece.first = first, piece.cases = std::min(plan.chunk, plan.cases - first);
        piece.order = plan.order, piece.q = plan.q, piece.p = plan.p;
        piece.X_rows = plan.X_rows, piece.Y_rows = plan.Y_rows, piece.splits = splits_of(piece);
        const Index S_size = plan.q * plan.p;
        piece.K = take(plan.order == Order::sum_first ? piece.cases * S_size : 0);
        piece.X = take(piece.cases * plan.X_rows * plan.q), piece.Y = take(piece.cases * plan.Y_rows * plan.p);
        piece.sums = take(piece.splits > 1 ? piece.splits * S_size : 0);
        pieces_.push_back(piece);
    }

    void run(const Queue& queue) {
        if (pieces_.empty()) return;
        const auto memory = queue.scratch<T>(size_);
        T* const scratch = memory.get();
        Tables tables;
        for (int k = 0; k < static_cast<int>(pieces_.size()); ++k) append_piece(k, scratch, tables);
        const auto pieces = queue.copy_of(std::span<const Piece>(pieces_));
        const auto on_device = queue.copy_of(std::span<const Projection<T>>(tables.projections));
        const auto run = [&](auto kernel, const std::vector<Block>& blocks, const auto*... inputs) {
            if (blocks.empty()) return;
            const auto table = queue.copy_of(std::span<const Block>(blocks));
            launch(kernel, dim3(grid_for(blocks)), dim3(Tile<T>::threads), Tile<T>::shared_bytes, queue.stream(),
                   inputs..., table.get(), scratch);
        };
        run(sum_positions<T>, tables.positions, tasks_, pieces.get());
        run(project<T>, tables.products, on_device.get());
        run(sum_squares<T>, tables.sums, tasks_, pieces.get());
        run(join_squares<T>, tables.joins, tasks_, pieces.get());
        pieces_.clear(), size_ = 0;
    }

  private:
    /// Where `words` more of scratch begin; aligned to 256 bytes at least.
    Index take(Index words) {
        const Index begin = size_;
        size_ += (words + 63) / 64 * 64;
        return begin;
    }
    struct Tables {
        std::vector<Block> positions, products, sums, joins;
        std::vector<Projection<T>> projections;
    };

    void append_piece(int k, const T* scratch, Tables& tables) const {
        const Piece& piece = pieces_[k];
        const UpdateEkfacMoments<T>& task = group_[piece.task];
        const auto append_product = [&](const Projection<T>& product) {
            append(tables.products, static_cast<int>(tables.projections.size()), 1, tiles(product.rows),
                   tiles(product.Q.rows));
            tables.projections.push_back(product);
        };
        const Matrix<const T> Q_A = task.Q_A[piece.b], Q_G = task.Q_G[piece.b];
        const Index q = piece.q, p = piece.p, begin = piece.first * task.A.T;
        const Index X_rows = piece.cases * piece.X_rows, Y_rows = piece.cases * piece.Y_rows;
        if (piece.order == Order::sum_first) {
            append(tables.positions, k, counted(piece.cases), tiles(q), tiles(p));
            const Rows K{scratch + piece.K, dtype_of<T>, Y_rows, 1, p, p, 0, 1, 0};
            append_product({K, false, false, 0, 0, Y_rows, Q_A, piece.Y});
        } else {
            const bool square = piece.order == Order::squares;
            append_product({task.A, task.bias, square, piece.b, begin, Y_rows, Q_A, piece.Y});
            append_product({task.G, false, square, piece.b, begin, X_rows, Q_G, piece.X});
        }
        append(tables.sums, k, piece.splits, tiles(q), tiles(p));
        if (piece.splits > 1) append(tables.joins, k, 1, tiles(q), tiles(p));
    }
    static void append(std::vector<Block>& blocks, int of, int parts, int rows, int columns) {
        for (int part = 0; part < parts; ++part)
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < columns; ++j) blocks.push_back({of, part, i, j});
    }

    std::span<const UpdateEkfacMoments<T>> group_;
    const UpdateEkfacMoments<T>* tasks_;
    std::vector<Piece> pieces_;
    Index size_ = 0;
};

}  // namespace

template <class T>
void update_ekfac_moments(const Queue& queue, std::span<const UpdateEkfacMoments<T>> group) {
    static_assert(Tile<T>::edge == edge);
    constexpr Index enough_words = (Index{32} << 20) / static_cast<Index>(sizeof(T));
    const auto tasks = queue.copy_of(group);
    Round<T> round(group, tasks.get());
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const EkfacPlan plan(group[t]);
        if (plan.p == 0 || plan.q == 0) continue;
        for (int b = 0; b < counted(group[t].updated.batch); ++b) {
            Index first = 0;
            do {  // once also where there are no cases: then it decays
                round.add(t, b, plan, first);
                first += plan.chunk;
                if (first < plan.cases || round.size() >= enough_words) round.run(queue);
            } while (first < plan.cases);
        }
    }
    round.run(queue);
}

template void update_ekfac_moments(const Queue&, std::span<const UpdateEkfacMoments<float>>);
template void update_ekfac_moments(const Queue&, std::span<const UpdateEkfacMoments<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
