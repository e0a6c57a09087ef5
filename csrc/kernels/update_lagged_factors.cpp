#include "kernels/update_lagged_factors.h"

#include <algorithm>

#include "core/moving_average.h"
#include "cpu/blas.h"
#include "cpu/blocks.h"
#include "cpu/rows.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

constexpr Index edge = 256;   // of a tile of C, at most
constexpr Index depth = 256;  // pairs of rows that are gathered and multiplied at a time

/// How one matrix is cut into items: by tiles, the lower ones where it is symmetric, and where these are few, by ranges
/// of pairs (x_{t + lag}, x_t) as well. Depends on the shape alone, so that the bits do not depend on the threads.
struct Plan {
    Blocks blocks;
    bool symmetric;
    Index pairs_per_case, pairs, tiles, splits, pairs_per_split;

    template <class T>
    explicit Plan(const UpdateLaggedFactors<T>& task) : blocks(task.updated.rows, edge), symmetric(task.symmetric) {
        constexpr double flops_per_split = 1.6e7;
        constexpr Index most_items = 16;
        pairs_per_case = std::max<Index>(task.R.T - task.lag, 0);
        pairs = task.R.N * pairs_per_case;
        tiles = symmetric ? blocks.count * (blocks.count + 1) / 2 : blocks.count * blocks.count;
        const Index most = std::max<Index>(most_items / std::max<Index>(tiles, 1), 1);
        splits = std::clamp(static_cast<Index>(flops_of_tile() / flops_per_split), Index{1}, most);
        pairs_per_split = (pairs + splits - 1) / splits;
    }
    Index n() const { return blocks.n; }
    double flops_of_tile() const {
        return (symmetric ? 4.0 : 2.0) * static_cast<double>(blocks.size * blocks.size) * static_cast<double>(pairs);
    }
};

/// The rows [i0, i0 + height) and columns [j0, j0 + width) of C that tile `t` covers.
struct TileRange {
    Index i0, j0, height, width;

    TileRange(const Plan& plan, Index t) {
        Index i = 0, j = t;
        if (plan.symmetric)
            while (j > i) j -= ++i;
        else
            i = t / plan.blocks.count, j = t % plan.blocks.count;
        i0 = plan.blocks.begin(i), height = plan.blocks.length(i);
        j0 = plan.blocks.begin(j), width = plan.blocks.length(j);
    }
};

/// sum = sum of x_{t + lag} x_t^T over the pairs [begin, end), restricted to one tile; where C is symmetric, of that
/// and its transpose.
template <class T>
void sum_tile(const Micro& micro, const UpdateLaggedFactors<T>& task, Index b, const Plan& plan, const TileRange& range,
              Index begin, Index end, const Matrix<T>& sum) {
    const BiasedRows<T> rows(micro, task.R, b, task.bias);
    const Index height = range.height, width = range.width, lag = task.lag;
    Scratch<UpdateLaggedFactors<T>> scratch(bytes<T>(depth * height) + bytes<T>(depth * width));
    T* const left = scratch.template take<T>(depth * height);
    T* const right = scratch.template take<T>(depth * width);
    for (Index i = 0; i < height; ++i) std::fill_n(sum.row(i), width, T(0));
    const auto add = [&](Index start, Index count, Index left_lag, Index right_lag) {
        Index n = start / plan.pairs_per_case, t = start % plan.pairs_per_case;
        for (Index k = 0; k < count; ++k) {
            const Index r = n * task.R.T + t;
            rows.copy(r + left_lag, range.i0, height, left + k * height);
            rows.copy(r + right_lag, range.j0, width, right + k * width);
            if (++t == plan.pairs_per_case) ++n, t = 0;
        }
        blas::add_product<T>({left, height, count, 1, height}, {right, count, width, width, 1}, sum);
    };
    for (Index start = begin; start < end; start += depth) {
        const Index count = std::min(depth, end - start);
        add(start, count, lag, 0);
        if (plan.symmetric) add(start, count, 0, lag);
    }
}

/// updated = decay C + scale sum for one tile, and its mirror image where C is symmetric.
template <class T>
void finish_tile(const UpdateLaggedFactors<T>& task, Index b, const TileRange& range, const Matrix<T>& sum) {
    const MovingAverage<T> average(task.decay[b], task.scale ? task.scale + b : nullptr, task.R.count());
    const Matrix<const T> C = task.C[b];
    const Matrix<T> updated = task.updated[b];
    const T add = task.symmetric ? average.add / 2 : average.add;
    for (Index i = 0; i < range.height; ++i) {
        const Index row = range.i0 + i;
        const Index width = task.symmetric ? std::min(range.width, row - range.j0 + 1) : range.width;
        for (Index j = 0; j < width; ++j) {
            const Index column = range.j0 + j;
            const T value = average.kept(C(row, column)) + add * sum(i, j);
            updated(row, column) = value;
            if (task.symmetric) updated(column, row) = value;
        }
    }
}

/// The matrices whose pairs are summed in ranges: their items. `count` is where their partial sums, n x n each, begin.
struct SplitItems {
    std::vector<Item> sums, joins;
    Index words = 0;

    void append(Index task, Index b, const Plan& plan) {
        const double flops = plan.flops_of_tile() / static_cast<double>(plan.splits);
        for (Index tile = 0; tile < plan.tiles; ++tile) {
            joins.push_back(
                {task, b, words, tile, static_cast<double>(plan.splits * plan.blocks.size * plan.blocks.size)});
            for (Index s = 0; s < plan.splits; ++s) sums.push_back({task, b, words, tile * plan.splits + s, flops});
        }
        words += plan.splits * plan.n() * plan.n();
    }
};

template <class T>
void run_split(const Queue& queue, std::span<const UpdateLaggedFactors<T>> group, SplitItems& items) {
    Scratch<SplitItems> shared(bytes<T>(items.words));
    T* const scratch = shared.template take<T>(items.words);
    const auto partial_sum = [&](const Plan& plan, const TileRange& range, const Item& item, Index split) {
        const Index n = plan.n();
        return Matrix<T>{scratch + item.count + (split * n + range.i0) * n + range.j0, range.height, range.width, n, 1};
    };
    queue.run(items.sums, [&](const Item& item) {
        const Plan plan(group[item.task]);
        const TileRange range(plan, item.part / plan.splits);
        const Index split = item.part % plan.splits;
        const Index begin = std::min(split * plan.pairs_per_split, plan.pairs);
        const Index end = std::min(begin + plan.pairs_per_split, plan.pairs);
        sum_tile(queue.micro(), group[item.task], item.first, plan, range, begin, end,
                 partial_sum(plan, range, item, split));
    });
    queue.run(items.joins, [&](const Item& item) {
        const Plan plan(group[item.task]);
        const TileRange range(plan, item.part);
        const Matrix<T> sum = partial_sum(plan, range, item, 0);
        for (Index s = 1; s < plan.splits; ++s) {
            const Matrix<T> other = partial_sum(plan, range, item, s);
            for (Index i = 0; i < range.height; ++i)
                for (Index j = 0; j < range.width; ++j) sum(i, j) += other(i, j);
        }
        finish_tile(group[item.task], item.first, range, sum);
    });
    items = {};
}

}  // namespace

template <class T>
void update_lagged_factors(const Queue& queue, std::span<const UpdateLaggedFactors<T>> group) {
    constexpr Index enough_words = (Index{32} << 20) / static_cast<Index>(sizeof(T));
    blas::stay_on_one_thread();
    std::vector<Item> whole;  // tiles that sum all pairs in one go
    SplitItems split;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Plan plan(group[t]);
        const Index batch = group[t].updated.batch;
        const double cost = plan.flops_of_tile() + static_cast<double>(plan.blocks.size * plan.blocks.size) + 1000;
        if (plan.tiles == 1 && plan.splits == 1) {
            Queue::append_batches(whole, t, batch, cost);
            continue;
        }
        for (Index b = 0; b < batch; ++b) {
            if (plan.splits > 1) split.append(t, b, plan);
            if (split.words >= enough_words) run_split(queue, group, split);
            for (Index tile = 0; plan.splits == 1 && tile < plan.tiles; ++tile) whole.push_back({t, b, 1, tile, cost});
        }
    }
    if (split.words > 0) run_split(queue, group, split);
    queue.run(whole, [&](const Item& item) {
        const UpdateLaggedFactors<T>& task = group[item.task];
        const Plan plan(task);
        const TileRange range(plan, item.part);
        Scratch<Plan> scratch(bytes<T>(range.height * range.width));
        const Matrix<T> sum{scratch.template take<T>(range.height * range.width), range.height, range.width,
                            range.width, 1};
        for (Index b = item.first; b < item.first + item.count; ++b) {
            sum_tile(queue.micro(), task, b, plan, range, 0, plan.pairs, sum);
            finish_tile(task, b, range, sum);
        }
    });
}

template void update_lagged_factors(const Queue&, std::span<const UpdateLaggedFactors<float>>);
template void update_lagged_factors(const Queue&, std::span<const UpdateLaggedFactors<double>>);

}  // namespace curvblas::cpu
