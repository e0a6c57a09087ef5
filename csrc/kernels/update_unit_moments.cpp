#include "kernels/update_unit_moments.h"

#include <algorithm>

#include "core/moving_average.h"
#include "cpu/blocks.h"
#include "cpu/packed_product.h"
#include "cpu/rows.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

constexpr Index most_units = 256, most_pairs = 512;  // of a block of sums
constexpr Index depth = 256;                         // rows whose pairs are formed and multiplied at a time
constexpr Index most_rows = 4096;                    // that are summed in T

/// The units [k0, k0 + height), and of their lower triangles the rows [i0, i1): so many pairs (i, j <= i).
struct PairBlock {
    Index k0, height, i0, i1;

    static Index pairs_before(Index i) { return i * (i + 1) / 2; }
    Index pairs() const { return pairs_before(i1) - pairs_before(i0); }
};

/// The blocks of one layer. They depend on its shape alone, so that the bits do not depend on the threads.
template <class T>
std::vector<PairBlock> blocks_of(const UpdateUnitMoments<T>& layer) {
    const Index p = layer.M.rows;
    const Blocks units(layer.M.batch, most_units);
    const Index wanted = std::clamp<Index>(PairBlock::pairs_before(p) / 4, 64, most_pairs);
    std::vector<PairBlock> blocks;
    for (Index k = 0; k < units.count; ++k)
        for (Index i0 = 0, i1; i0 < p; i0 = i1) {
            i1 = i0 + 1;
            while (i1 < p && PairBlock::pairs_before(i1 + 1) - PairBlock::pairs_before(i0) <= wanted) ++i1;
            blocks.push_back({units.begin(k), units.length(k), i0, i1});
        }
    return blocks;
}

/// Adds the sums over the rows [begin, end) to a block: the weights times the products of all pairs of columns.
template <class T>
void add_rows(const Micro& micro, const UpdateUnitMoments<T>& layer, const PairBlock& block, Index begin, Index end,
              const Matrix<T>& sums) {
    const BiasedRows<T> R(micro, layer.R, 0, layer.bias), W(micro, layer.W, 0, false);
    const Index pairs = block.pairs();
    Scratch<PairBlock> scratch(bytes<T>(depth * pairs) + bytes<T>(block.i1) + bytes<T>(depth * block.height) +
                               bytes<T>(block.height * pairs));
    T* const products = scratch.template take<T>(depth * pairs);
    T* const row = scratch.template take<T>(block.i1);
    T* const buffer = scratch.template take<T>(depth * block.height);
    const Matrix<T> product{scratch.template take<T>(block.height * pairs), block.height, pairs, pairs, 1};
    for (Index start = begin; start < end; start += depth) {
        const Index count = std::min(depth, end - start);
        for (Index r = 0; r < count; ++r) {
            const T* const x = R.segment(start + r, 0, block.i1, row);
            T* to = products + r * pairs;
            for (Index i = block.i0; i < block.i1; ++i, to += i)
                for (Index j = 0; j <= i; ++j) to[j] = x[i] * x[j];
        }
        const Matrix<const T> weights = W.block(start, count, block.k0, block.height, buffer);
        multiply_packed<T>(micro.tile<T>(), transposed(weights), {products, count, pairs, pairs, 1}, product);
        for (Index e = 0; e < block.height * pairs; ++e) sums.data[e] += product.data[e];
    }
}

/// The sums of all rows in a block.
template <class T>
void sum_rows(const Micro& micro, const UpdateUnitMoments<T>& layer, const PairBlock& block, const Matrix<T>& sums,
              double* totals) {
    const Index size = sums.rows * sums.columns, rows = layer.R.count();
    std::fill_n(sums.data, size, T(0));
    add_rows(micro, layer, block, 0, std::min(rows, most_rows), sums);
    if (rows <= most_rows) return;
    std::copy_n(sums.data, size, totals);
    for (Index begin = most_rows; begin < rows; begin += most_rows) {
        std::fill_n(sums.data, size, T(0));
        add_rows(micro, layer, block, begin, std::min(begin + most_rows, rows), sums);
        for (Index e = 0; e < size; ++e) totals[e] += static_cast<double>(sums.data[e]);
    }
    for (Index e = 0; e < size; ++e) sums.data[e] = static_cast<T>(totals[e]);
}

/// updated = decay M + scale sum for one block, and its mirror image.
template <class T>
void average_block(const UpdateUnitMoments<T>& layer, const PairBlock& block, const Matrix<T>& sums) {
    const MovingAverage<T> average(*layer.decay, layer.scale, layer.R.N);
    for (Index k = 0; k < block.height; ++k) {
        const Matrix<const T> M = layer.M[block.k0 + k];
        const Matrix<T> updated = layer.updated[block.k0 + k];
        const T* sum = sums.row(k);
        for (Index i = block.i0; i < block.i1; ++i, sum += i)
            for (Index j = 0; j <= i; ++j) updated(i, j) = updated(j, i) = average.kept(M(i, j)) + average.add * sum[j];
    }
}

/// Whether products of pairs are faster than factors of their own: 25 times for 128 units of p = 9 in float32, 4 times
/// for p = 33, 2 times for p = 65, and about as fast along the line that is drawn here (512 rows, one thread, Zen 5).
template <class T>
bool are_many_and_small(const UpdateUnitMoments<T>& layer) {
    constexpr Index least_units = 4, most_bytes = 520;
    const Index row_bytes = layer.M.rows * static_cast<Index>(sizeof(T));
    return row_bytes <= most_bytes && layer.M.batch >= std::max(least_units, row_bytes / 16);
}

}  // namespace

template <class T>
void update_unit_moments(const Queue& queue, std::span<const UpdateUnitMoments<T>> group) {
    std::vector<UpdateFactors<T>> units;
    std::vector<PairBlock> blocks;
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const UpdateUnitMoments<T>& layer = group[t];
        if (!are_many_and_small(layer)) {
            append_units(layer, units);
            continue;
        }
        for (const PairBlock& block : blocks_of(layer)) {
            const double elements = static_cast<double>(block.height * block.pairs());
            const double cost = (2 * static_cast<double>(layer.R.count()) + 4) * elements + 1000;
            items.push_back({t, static_cast<Index>(blocks.size()), 1, 0, cost});
            blocks.push_back(block);
        }
    }
    update_factors<T>(queue, units);
    queue.run(items, [&](const Item& item) {
        const UpdateUnitMoments<T>& layer = group[item.task];
        const PairBlock& block = blocks[item.first];
        const Index size = block.height * block.pairs();
        Scratch<UpdateUnitMoments<T>> scratch(bytes<T>(size) + bytes<double>(size));
        const Matrix<T> sums{scratch.template take<T>(size), block.height, block.pairs(), block.pairs(), 1};
        sum_rows(queue.micro(), layer, block, sums, scratch.template take<double>(size));
        average_block(layer, block, sums);
    });
}

template void update_unit_moments(const Queue&, std::span<const UpdateUnitMoments<float>>);
template void update_unit_moments(const Queue&, std::span<const UpdateUnitMoments<double>>);

}  // namespace curvblas::cpu
