#include "cpu/divide_and_conquer.h"

#include <cmath>
#include <numeric>

#include "cpu/product.h"
#include "cpu/secular.h"
#include "cpu/tridiagonal_lanes.h"

namespace curvblas::cpu {
namespace {

template <class T>
constexpr Index padding = Secular<T>::padding;

/// Zeros are found to a bound of their rounding errors in these units: double's own for float64, for float32 so far
/// below its own that they do not show in eigenvectors.
template <class T>
constexpr double unit_of_zeros = sizeof(T) == 4 ? 0x1p-40 : 0x1p-53;

}  // namespace

template <class T>
Index DivideAndConquer<T>::levels(Index n) {
    Index levels = 0;
    while (((n - 1) >> levels) + 1 > TridiagonalLanes<T>::most_order) ++levels;
    return levels;
}

template <class T>
Index DivideAndConquer<T>::bytes(Index n) {
    const Index nodes = Index{1} << levels(n), padded = n + nodes * padding<T>;
    return 2 * cpu::bytes<T>(n * spread_row(n)) + 3 * cpu::bytes<double>(n) + 7 * cpu::bytes<double>(padded) +
           4 * cpu::bytes<Index>(n) + cpu::bytes<Half>(n) + cpu::bytes<Merge>(2 * nodes);
}

template <class T>
DivideAndConquer<T>::DivideAndConquer(const Micro& micro, Index n, std::byte* memory)
    : micro_(micro), n_(n), ld_(spread_row(n)), level_(levels(n)) {
    Carver carver(memory, bytes(n));
    const auto take = [&]<class U>(U*& to, Index count) { to = carver.take<U>(count); };
    const Index padded = n + nodes() * padding<T>;
    take(rows_, n * ld_), take(sources_, n * ld_);
    take(values_, n), take(off_diagonal_, n), take(z_, n);
    for (double** const array : {&poles_, &squares_, &origins_, &offsets_, &weights_, &grouped_poles_, &grouped_z_}) {
        take(*array, padded);
        std::fill_n(*array, padded, 0.0);  // what is read beyond a node
    }
    take(order_, n), take(kept_, n), take(place_, n), take(source_, n);
    take(half_, n), take(merges_, 2 * nodes());
    std::fill_n(merges_, 2 * nodes(), Merge{});
}

template <class T>
auto DivideAndConquer<T>::node(Index index) const -> Node {
    const Index from = first(level_, index);
    return {from, first(level_ + 1, 2 * index + 1), first(level_, index + 1), from + index * padding<T>};
}

template <class T>
RankOneUpdate DivideAndConquer<T>::equation(const Node& node, const Merge& merge) const {
    return {merge.kept, poles_ + node.base, squares_ + node.base, merge.weight};
}

// Step by step

template <class T>
bool DivideAndConquer<T>::next() {
    switch (step_) {
        case Step::start:
            tear();
            step_ = Step::leaves;
            return true;
        case Step::leaves:
            --level_;
            step_ = Step::deflate;
            return has_converged();
        case Step::deflate:
            step_ = Step::find;
            return true;
        case Step::find:
            step_ = Step::weigh;
            return has_converged();
        case Step::weigh:
            step_ = Step::multiply;
            return true;
        case Step::multiply:
            if (level_ > 0) {
                --level_;
                step_ = Step::deflate;
                return true;
            }
            sort_rows(0, 0);
            for (Index j = 0; j < n_; ++j) poles_[j] = values_[order_[j]];
            step_ = Step::order;
            return true;
        case Step::order:
            break;
    }
    return false;
}

template <class T>
Index DivideAndConquer<T>::parts() const {
    if (step_ == Step::leaves) {
        const Index width = micro_.tridiagonal_lanes<T>().width;
        return (nodes() + width - 1) / width;
    }
    return step_ == Step::deflate ? nodes() : nodes() * blocks();
}

template <class T>
double DivideAndConquer<T>::cost(Index) const {
    const double size = static_cast<double>(n_ >> level_), rows = size / static_cast<double>(blocks());
    switch (step_) {
        case Step::leaves:
            return 2e5;
        case Step::deflate:
            return 300 * size;
        case Step::find:
            return 25 * rows * size;
        case Step::weigh:
            return 4 * rows * size;
        case Step::multiply:
            return 4 * rows * size + cost_of_products<T>(1, static_cast<Index>(rows), n_ >> level_, n_ >> level_) / 2;
        default:
            return rows * size;
    }
}

template <class T>
void DivideAndConquer<T>::work(Index part) {
    if (step_ == Step::leaves) return solve_leaves(part);
    if (step_ == Step::deflate) return deflate(part);
    if (step_ == Step::order) return put_in_order(part);
    const Index index = part / blocks();
    const Node node = this->node(index);
    const Merge& merge = this->merge(level_, index);
    const Index begin = part % blocks() * block(), end = std::min(begin + block(), node.size());
    const Index merged_end = std::min(end, merge.kept), at = node.base;
    const Secular<T>& secular = micro_.secular<T>();
    if (step_ == Step::multiply) return multiply(node, merge, begin, end);
    if (step_ == Step::find) {
        take_rows(node, begin, end);
        if (!secular.find_zeros(equation(node, merge), begin, merged_end, unit_of_zeros<T>, origins_ + at,
                                offsets_ + at))
            has_converged_.store(false, std::memory_order_relaxed);
        return;
    }
    secular.recompute_z(equation(node, merge), begin, merged_end, origins_ + at, offsets_ + at, weights_ + at);
    for (Index j = begin; j < merged_end; ++j) {
        const Index place = at + place_[node.first + j];
        grouped_poles_[place] = poles_[at + j];
        grouped_z_[place] = std::copysign(weights_[at + j], z_[kept_[node.first + j]]);
    }
}

// The leaves

/// S becomes the sum of the leaves and of |b| (e_i + sign(b) e_j) (e_i + sign(b) e_j)^T for each pair of neighbours i,
/// j of two leaves that b couples.
template <class T>
void DivideAndConquer<T>::tear() {
    for (Index leaf = 1; leaf < nodes(); ++leaf) {
        const Index row = first(level_, leaf);
        const double size = std::abs(off_diagonal_[row - 1]);
        values_[row - 1] -= size, values_[row] -= size;
    }
}

template <class T>
void DivideAndConquer<T>::solve_leaves(Index part) {
    const TridiagonalLanes<T>& lanes = micro_.tridiagonal_lanes<T>();
    constexpr Index most_width = 64;
    TridiagonalLane<T> lane[most_width];
    const Index begin = part * lanes.width, end = std::min(begin + lanes.width, nodes());
    const Index order = ((n_ - 1) >> level_) + 1;
    std::fill(rows_ + first(level_, begin) * ld_, rows_ + first(level_, end) * ld_, T(0));
    for (Index leaf = begin; leaf < end; ++leaf) {
        const Index row = first(level_, leaf), size = first(level_, leaf + 1) - row;
        lane[leaf - begin] = {size, values_ + row, off_diagonal_ + row, values_ + row, rows_ + row * ld_ + row, ld_};
    }
    const Index need = lanes.bytes(order);
    struct Memory;
    Scratch<Memory> scratch(padded(need));
    if (!lanes.solve(order, end - begin, lane, scratch.template take<std::byte>(need)))
        has_converged_.store(false, std::memory_order_relaxed);
}

// Deflation

/// The order of a node's rows by their values: ascending up to those that deflated, which come in any order.
template <class T>
void DivideAndConquer<T>::sort_rows(Index level, Index index) {
    const Index begin = first(level, index), kept = merge(level, index).kept;
    Index* const order = order_ + begin;
    Index* const end = order_ + first(level, index + 1);
    const auto is_below = [&](Index a, Index b) { return values_[a] < values_[b]; };
    std::iota(order, end, begin);
    std::stable_sort(order + kept, end, is_below);
    std::inplace_merge(order, order + kept, end, is_below);
}

template <class T>
void DivideAndConquer<T>::deflate(Index index) {
    const Node node = this->node(index);
    sort_rows(level_ + 1, 2 * index), sort_rows(level_ + 1, 2 * index + 1);
    std::inplace_merge(order_ + node.first, order_ + node.middle, order_ + node.last,
                       [&](Index a, Index b) { return values_[a] < values_[b]; });
    const Halves<T> halves{node.first, node.middle, node.last, rows_, ld_, values_, z_, half_};
    Merge& merge = this->merge(level_, index);
    merge = {};
    merge.weight = couple(halves, off_diagonal_[node.middle - 1]);
    merge.kept = cpu::deflate(halves, merge.weight, order_, kept_ + node.first, source_ + node.last);
    group(node, merge);
}

/// Eigenvectors that are zero in the same half lie behind each other, so that nothing is multiplied by zero.
template <class T>
void DivideAndConquer<T>::group(const Node& node, Merge& merge) const {
    const Index* const kept = kept_ + node.first;
    Index count[3] = {};
    for (Index i = 0; i < merge.kept; ++i) ++count[static_cast<int>(half_[kept[i]])];
    Index next[3] = {0, count[0], count[0] + count[1]};
    merge.only_upper = count[0], merge.only_lower = count[2];
    for (Index i = 0; i < merge.kept; ++i) {
        const Index row = kept[i], place = next[static_cast<int>(half_[row])]++;
        place_[node.first + i] = place, source_[node.first + place] = row;
        poles_[node.base + i] = values_[row], squares_[node.base + i] = z_[row] * z_[row];
    }
    for (Index i = merge.kept; i < node.size(); ++i) poles_[node.base + i] = values_[source_[node.first + i]];
}

// Eigenvectors

template <class T>
void DivideAndConquer<T>::take_rows(const Node& node, Index begin, Index end) const {
    for (Index i = begin; i < end; ++i)
        std::copy_n(rows_ + source_[node.first + i] * ld_ + node.first, node.size(),
                    sources_ + (node.first + i) * ld_ + node.first);
}

template <class T>
void DivideAndConquer<T>::multiply(const Node& node, const Merge& merge, Index begin, Index end) const {
    const Index merged_end = std::min(end, merge.kept), at = node.base;
    for (Index i = std::max(begin, merge.kept); i < end; ++i) {
        values_[node.first + i] = poles_[at + i];
        std::copy_n(sources_ + (node.first + i) * ld_ + node.first, node.size(),
                    rows_ + (node.first + i) * ld_ + node.first);
    }
    if (begin >= merged_end) return;
    const Index height = merged_end - begin, ld = spread_row(merge.kept);
    struct Memory;
    Scratch<Memory> scratch(cpu::bytes<T>(height * ld) + cpu::bytes<double>(ld));
    T* const factors = scratch.template take<T>(height * ld);
    double* const work = scratch.template take<double>(ld);
    for (Index i = begin; i < merged_end; ++i) {
        micro_.secular<T>().eigenvector(merge.kept, grouped_poles_ + at, grouped_z_ + at, origins_[at + i],
                                        offsets_[at + i], work, factors + (i - begin) * ld);
        values_[node.first + i] = origins_[at + i] + offsets_[at + i];
    }
    const auto multiply_half = [&](Index from, Index to, Index left, Index right) {
        T* const products = rows_ + (node.first + begin) * ld_ + left;
        if (from == to) {
            for (Index i = 0; i < height; ++i) std::fill_n(products + i * ld_, right - left, T(0));
            return;
        }
        cpu::multiply<T>(micro_, {factors + from, height, to - from, ld, 1},
                         {sources_ + (node.first + from) * ld_ + left, to - from, right - left, ld_, 1},
                         {products, height, right - left, ld_, 1});
    };
    multiply_half(0, merge.kept - merge.only_lower, node.first, node.middle);
    multiply_half(merge.only_upper, merge.kept, node.middle, node.last);
}

template <class T>
void DivideAndConquer<T>::put_in_order(Index part) const {
    const Index begin = part * block(), end = std::min(begin + block(), n_);
    for (Index j = begin; j < end; ++j) std::copy_n(rows_ + order_[j] * ld_, n_, sources_ + j * n_);
}

template class DivideAndConquer<float>;
template class DivideAndConquer<double>;

}  // namespace curvblas::cpu
