#include "kernels/update_ekfac_moments.h"

#include <algorithm>

#include "core/moving_average.h"
#include "cpu/blas.h"
#include "cpu/blocks.h"
#include "cpu/rows.h"
#include "cpu/scratch.h"
#include "kernels/ekfac_plan.h"

namespace curvblas::cpu {
namespace {

constexpr Index row_block = 512;  // rows that are converted, if they must be, and multiplied at a time

/// Some cases of one matrix. All that is computed of them lies in one piece of scratch.
template <class T>
struct Piece {
    const UpdateEkfacMoments<T>* task;
    Index b, first, cases;
    EkfacPlan plan;
    Index offset;  // in scratch

    // Tiles of S; and where these are few, ranges of cases, whose sums are added in their order.
    Blocks rows, columns;
    Index splits;

    Piece(const UpdateEkfacMoments<T>& task_, Index b_, const EkfacPlan& plan_, Index first_)
        : task(&task_),
          b(b_),
          first(first_),
          cases(std::min(plan_.chunk, plan_.cases - first_)),
          plan(plan_),
          offset(0),
          rows(plan_.q, edge()),
          columns(plan_.p, edge()) {
        constexpr double flops_per_split = 1.6e7;
        constexpr Index most_items = 8;
        const Index most = std::clamp<Index>(most_items / std::max<Index>(tiles(), 1), 1, std::max<Index>(cases, 1));
        splits = std::clamp(static_cast<Index>(flops_of_tile() / flops_per_split), Index{1}, most);
    }

    // A single deep product likes large tiles. Products of single cases pass through a tile of their own, which is to
    // stay in the second-level cache beside the sum.
    Index edge() const { return plan.order == Order::squares ? 384 : 192; }
    Index tiles() const { return rows.count * columns.count; }
    double flops_of_tile() const {
        const Index depth = plan.order == Order::sum_first ? plan.q : plan.Y_rows;
        return 2.0 * static_cast<double>(rows.size * columns.size) * static_cast<double>(cases * depth);
    }
    Index S_size() const { return plan.q * plan.p; }
    Index words() const { return cases * plan.words_per_case() + (splits > 1 ? splits * S_size() : 0); }

    T* X(T* scratch) const { return scratch + offset; }
    T* Y(T* scratch) const { return X(scratch) + cases * plan.X_rows * plan.q; }
    T* sums(T* scratch) const { return Y(scratch) + cases * plan.Y_rows * plan.p; }
};

/// One tile of S, as a view of any matrix of its shape.
struct TileRange {
    Index i0, j0, height, width;

    template <class T>
    TileRange(const Piece<T>& piece, Index tile) {
        const Index i = tile / piece.columns.count, j = tile % piece.columns.count;
        i0 = piece.rows.begin(i), height = piece.rows.length(i);
        j0 = piece.columns.begin(j), width = piece.columns.length(j);
    }
};

/// What blas::readable takes.
template <class T>
Index bytes_of_copy(const Matrix<const T>& A) {
    return blas::is_blas(A) ? 0 : bytes<T>(A.rows * A.columns);
}

/// product = the rows of R from `begin` on, times some columns of a basis; squared element by element if asked.
template <class T>
void project(const BiasedRows<T>& R, const Matrix<const T>& Q, Index begin, const Matrix<T>& product, bool square) {
    const Index n = R.columns();
    Scratch<BiasedRows<T>> scratch(bytes<T>(product.rows * n) + bytes_of_copy(Q));
    const auto rows = R.block(begin, product.rows, 0, n, scratch.template take<T>(product.rows * n));
    blas::multiply<T>(rows, blas::readable(Q, scratch), product);
    if (!square) return;
    for (Index i = 0; i < product.rows; ++i) {
        T* const x = product.row(i);
        for (Index j = 0; j < product.columns; ++j) x[j] *= x[j];
    }
}

/// Rows [i0, i0 + height) of (G_n^T A_n) Q_A.
template <class T>
void sum_positions(const BiasedRows<T>& A, const BiasedRows<T>& G, const Matrix<const T>& Q_A, Index begin,
                   Index positions, Index i0, const Matrix<T>& product) {
    const Index height = product.rows, p = product.columns;
    Scratch<BiasedRows<T>> scratch(bytes<T>(height * p) + bytes<T>(row_block * p) + bytes<T>(row_block * height) +
                                   bytes_of_copy(Q_A));
    T* const sum = scratch.template take<T>(height * p);
    T* const A_buffer = scratch.template take<T>(row_block * p);
    T* const G_buffer = scratch.template take<T>(row_block * height);
    std::fill_n(sum, height * p, T(0));
    for (Index t = 0; t < positions; t += row_block) {
        const Index count = std::min(row_block, positions - t);
        const auto g = G.block(begin + t, count, i0, height, G_buffer);
        const Matrix<const T> g_transposed{g.data, height, count, g.column_stride, g.row_stride};
        blas::add_product<T>(g_transposed, A.block(begin + t, count, 0, p, A_buffer), {sum, height, p, p, 1});
    }
    blas::multiply<T>({sum, height, p, p, 1}, blas::readable(Q_A, scratch), product);
}

constexpr Index column_block = 512;  // of a basis

/// The first step: blocks of Y, and of X unless it is Q_G. Part k is a block of columns of A Q_A, then of G Q_G; or of
/// rows of Y of one case.
template <class T>
void append_preparations(const Piece<T>& piece, Index index, std::vector<Item>& items) {
    const EkfacPlan& plan = piece.plan;
    const double T_ = static_cast<double>(piece.task->A.T), p = static_cast<double>(plan.p);
    if (plan.order == Order::sum_first) {
        const double flops = 2 * static_cast<double>(piece.rows.size) * p * (T_ + p);
        for (Index n = 0; n < piece.cases; ++n)
            for (Index i = 0; i < piece.rows.count; ++i) items.push_back({index, n, 1, i, flops});
        return;
    }
    const Index rows = piece.cases * plan.Y_rows;
    const Blocks A_columns(plan.p, column_block), G_columns(plan.q, column_block), blocks(rows, row_block);
    for (Index k = 0; k < blocks.count; ++k)
        for (Index c = 0; c < A_columns.count + G_columns.count; ++c) {
            const Blocks& side = c < A_columns.count ? A_columns : G_columns;
            const double flops = 2.0 * static_cast<double>(blocks.size * side.size) * static_cast<double>(side.n);
            items.push_back({index, blocks.begin(k), blocks.length(k), c, flops});
        }
}

template <class T>
void prepare(const Micro& micro, const Piece<T>& piece, const Item& item, T* scratch) {
    const UpdateEkfacMoments<T>& task = *piece.task;
    const EkfacPlan& plan = piece.plan;
    const Index q = plan.q, p = plan.p, positions = task.A.T, begin = piece.first * positions;
    const BiasedRows<T> A(micro, task.A, piece.b, task.bias), G(micro, task.G, piece.b, false);
    const Matrix<const T> Q_A = task.Q_A[piece.b], Q_G = task.Q_G[piece.b];
    if (plan.order == Order::sum_first) {
        const Index i0 = piece.rows.begin(item.part), height = piece.rows.length(item.part);
        const Matrix<T> Y{piece.Y(scratch) + (item.first * q + i0) * p, height, p, p, 1};
        return sum_positions(A, G, Q_A, begin + item.first * positions, positions, i0, Y);
    }
    const Blocks A_columns(p, column_block), G_columns(q, column_block);
    const auto block = [&](const BiasedRows<T>& R, const Matrix<const T>& Q, const Blocks& columns, Index k, T* to) {
        const Index n = Q.rows, j0 = columns.begin(k), width = columns.length(k);
        const Matrix<const T> vectors{Q.data + j0 * Q.column_stride, n, width, Q.row_stride, Q.column_stride};
        const Matrix<T> product{to + item.first * n + j0, item.count, width, n, 1};
        project(R, vectors, begin + item.first, product, plan.order == Order::squares);
    };
    if (item.part < A_columns.count)
        block(A, Q_A, A_columns, item.part, piece.Y(scratch));
    else
        block(G, Q_G, G_columns, item.part - A_columns.count, piece.X(scratch));
}

/// sum = sum of M_n o M_n over the cases [first, first + count) of a piece, restricted to one tile.
template <class T>
void sum_cases(const Piece<T>& piece, const TileRange& range, Index first, Index count, T* scratch,
               const Matrix<T>& sum) {
    const EkfacPlan& plan = piece.plan;
    const Index q = plan.q, p = plan.p;
    const T* const X = piece.X(scratch) + first * plan.X_rows * q + range.i0;
    const T* const Y = piece.Y(scratch) + first * plan.Y_rows * p + range.j0;
    for (Index i = 0; i < sum.rows; ++i) std::fill_n(sum.row(i), sum.columns, T(0));
    if (count == 0) return;
    if (plan.order == Order::squares)
        return blas::multiply<T>({X, range.height, count, 1, q}, {Y, count, range.width, p, 1}, sum);

    const Index size = range.height * range.width;
    Scratch<Piece<T>> own(bytes<T>(size) + bytes<T>(q * range.height));
    const Matrix<T> M{own.template take<T>(size), range.height, range.width, range.width, 1};
    const Matrix<const T> Q_G = piece.task->Q_G[piece.b];
    const Matrix<const T> vectors{Q_G.data + range.i0 * Q_G.column_stride, range.height, q, Q_G.column_stride,
                                  Q_G.row_stride};
    const bool sum_first = plan.order == Order::sum_first;
    const auto basis = sum_first ? blas::readable(vectors, own) : Matrix<const T>{};
    const auto X_of = [&](Index n) {
        return sum_first ? basis : Matrix<const T>{X + n * plan.X_rows * q, range.height, plan.X_rows, 1, q};
    };
    for (Index n = 0; n < count; ++n) {
        blas::multiply<T>(X_of(n), {Y + n * plan.Y_rows * p, plan.Y_rows, range.width, p, 1}, M);
        for (Index i = 0; i < range.height; ++i) {
            const T* const m = M.row(i);
            T* const s = sum.row(i);
            for (Index j = 0; j < range.width; ++j) s[j] += m[j] * m[j];
        }
    }
}

/// updated = decay S + scale sum for one tile; later pieces of a matrix add to what the first one left.
template <class T>
void finish_tile(const Piece<T>& piece, const TileRange& range, const Matrix<T>& sum) {
    const UpdateEkfacMoments<T>& task = *piece.task;
    const Index b = piece.b;
    const MovingAverage<T> average(task.decay[b], task.scale ? task.scale + b : nullptr, task.A.N);
    const Matrix<const T> S = task.S[b];
    const Matrix<T> updated = task.updated[b];
    for (Index i = 0; i < range.height; ++i)
        for (Index j = 0; j < range.width; ++j) {
            const Index row = range.i0 + i, column = range.j0 + j;
            const T old = piece.first > 0 ? updated(row, column) : average.kept(S(row, column));
            updated(row, column) = old + average.add * sum(i, j);
        }
}

/// The second step. Part k is a range of cases of tile k / splits.
template <class T>
void sum_tile(const Piece<T>& piece, Index part, T* scratch) {
    const TileRange range(piece, part / piece.splits);
    const Index split = part % piece.splits, per_split = (piece.cases + piece.splits - 1) / piece.splits;
    const Index first = std::min(split * per_split, piece.cases), end = std::min(first + per_split, piece.cases);
    if (piece.splits > 1) {
        T* const to = piece.sums(scratch) + split * piece.S_size() + range.i0 * piece.plan.p + range.j0;
        return sum_cases<T>(piece, range, first, end - first, scratch,
                            {to, range.height, range.width, piece.plan.p, 1});
    }
    const Index size = range.height * range.width;
    Scratch<TileRange> own(bytes<T>(size));
    const Matrix<T> sum{own.template take<T>(size), range.height, range.width, range.width, 1};
    sum_cases(piece, range, first, end - first, scratch, sum);
    finish_tile(piece, range, sum);
}

/// The third step, where the cases of a tile were split.
template <class T>
void join_sums(const Piece<T>& piece, Index tile, T* scratch) {
    const TileRange range(piece, tile);
    const Index p = piece.plan.p;
    T* const sum = piece.sums(scratch) + range.i0 * p + range.j0;
    for (Index s = 1; s < piece.splits; ++s)
        for (Index i = 0; i < range.height; ++i)
            for (Index j = 0; j < range.width; ++j) sum[i * p + j] += sum[s * piece.S_size() + i * p + j];
    finish_tile<T>(piece, range, {sum, range.height, range.width, p, 1});
}

/// All steps for some pieces, of which no two are of one matrix. `run` calls a function for each item of a list.
template <class T, class Run>
void run_pieces(const Micro& micro, std::vector<Piece<T>>& pieces, const Run& run) {
    Index size = 0;
    std::vector<Item> preparations, sums, joins;
    for (Index k = 0; k < static_cast<Index>(pieces.size()); ++k) {
        Piece<T>& piece = pieces[k];
        piece.offset = size,
        size += padded(piece.words() * static_cast<Index>(sizeof(T))) / static_cast<Index>(sizeof(T));
        append_preparations(piece, k, preparations);
        const double flops = piece.flops_of_tile() / static_cast<double>(piece.splits) + 500;
        for (Index part = 0; part < piece.tiles() * piece.splits; ++part) sums.push_back({k, 0, 1, part, flops});
        for (Index tile = 0; piece.splits > 1 && tile < piece.tiles(); ++tile)
            joins.push_back({k, 0, 1, tile, static_cast<double>(piece.splits * piece.rows.size * piece.columns.size)});
    }
    Scratch<EkfacPlan> shared(bytes<T>(size));
    T* const scratch = shared.template take<T>(size);
    run(preparations, [&](const Item& item) { prepare(micro, pieces[item.task], item, scratch); });
    run(sums, [&](const Item& item) { sum_tile(pieces[item.task], item.part, scratch); });
    run(joins, [&](const Item& item) { join_sums(pieces[item.task], item.part, scratch); });
    pieces.clear();
}

/// What takes so little time that a whole matrix is one item.
bool is_small(const EkfacPlan& plan, Index positions) {
    const double p = static_cast<double>(plan.p), q = static_cast<double>(plan.q);
    return 2 * static_cast<double>(plan.cases * positions) * (p * p + q * q + p * q) < 1e6;
}

}  // namespace

template <class T>
void update_ekfac_moments(const Queue& queue, std::span<const UpdateEkfacMoments<T>> group) {
    constexpr Index enough_words = (Index{32} << 20) / static_cast<Index>(sizeof(T));
    blas::stay_on_one_thread();
    std::vector<Item> small;
    std::vector<Piece<T>> pieces;
    Index words = 0;
    const auto run = [&](std::vector<Item>& items, const auto& work) { queue.run(items, work); };
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const EkfacPlan plan(group[t]);
        const Index batch = group[t].updated.batch;
        if (is_small(plan, group[t].A.T)) {
            const double p = static_cast<double>(plan.p), q = static_cast<double>(plan.q);
            const double rows = static_cast<double>(group[t].A.count());
            Queue::append_batches(small, t, batch, 2000 + p * q + 2 * rows * (p * p + q * q + p * q));
            continue;
        }
        for (Index b = 0; b < batch; ++b)
            for (Index first = 0; first < plan.cases; first += plan.chunk) {
                pieces.emplace_back(group[t], b, plan, first);
                words += pieces.back().words();
                if (words < enough_words && first + plan.chunk >= plan.cases) continue;
                run_pieces(queue.micro(), pieces, run);
                words = 0;
            }
    }
    run_pieces(queue.micro(), pieces, run);
    queue.run(small, [&](const Item& item) {
        const EkfacPlan plan(group[item.task]);
        std::vector<Piece<T>> piece;
        for (Index b = item.first; b < item.first + item.count; ++b) {
            piece.emplace_back(group[item.task], b, plan, 0);
            run_pieces(queue.micro(), piece, [](const std::vector<Item>& items, const auto& work) {
                for (const Item& step : items) work(step);
            });
        }
    });
}

template void update_ekfac_moments(const Queue&, std::span<const UpdateEkfacMoments<float>>);
template void update_ekfac_moments(const Queue&, std::span<const UpdateEkfacMoments<double>>);

}  // namespace curvblas::cpu
