// What the ways to sum outer products share: where the rows of a matrix come from, and where its sums go.
#pragma once

#include <span>

#include "cpu/average_tile.h"
#include "cpu/queue.h"

namespace curvblas::cpu {

/// `Source` is what the rows of one matrix come from. It is made of (tile, task, matrix of the task), and has
/// - Index rows(), bool weighted(), MovingAverage<T> average();
/// - Index most_packed(): the rows that may be held packed at a time, for all tiles;
/// - void pack(Index begin, Index count, Index first, Index columns, bool weighted, const Panels<T>& to): columns
///   [first, first + columns) of rows [begin, begin + count), the implicit 1 of a bias included;
/// - Index scratch_bytes(): what pack() takes of it;
/// - Ahead ahead(Index begin, Index count, Index first, Index columns): the memory that pack() of these reads, or some
///   of it;
/// - bool in_panels(): rows lie in memory as panels do, and in_place(begin) are those from row `begin` on.
/// A `Task` has `C` and `updated`, stacks of n x n matrices.
template <class Value_, class Task, class Source_>
struct MomentGroup {
    using Value = Value_;
    using Source = Source_;

    const Queue& queue;
    std::span<const Task> tasks;
    const Tile<Value>& tile = queue.micro().tile<Value>();

    Source source(Index task, Index b) const { return Source(tile, tasks[task], b); }
    MomentPlan<Value> plan(Index task) const {
        const Source rows = source(task, 0);
        return MomentPlan<Value>(tile, tasks[task].updated.rows, rows.rows(), rows.most_packed());
    }

    /// The average takes the sums of one tile. Of several passes over the rows, those after the first keep what the
    /// last one left, and the last one mirrors.
    template <class S>
    void finish(Index task, Index b, const TileSums<S>& sums, bool first = true, bool last = true) const {
        Averaged<Value> matrix{source(task, b).average(), tasks[task].C[b], tasks[task].updated[b]};
        if (!first) matrix.go_on();
        average_tile(matrix, sums, last);
    }
};

}  // namespace curvblas::cpu
