#include "kernels/lbfgs_two_loop.h"

#include <cmath>
#include <vector>

#include "cpu/scratch.h"
#include "kernels/pairs.h"

namespace curvblas::cpu {
namespace {

template <class T>
void descend(const TwoLoop<T>& kernels, const LbfgsTwoLoop<T>& task, Index b) {
    const Matrix<const T> S = task.S[b], Y = task.Y[b], g = task.g[b];
    const Matrix<T> direction = task.direction[b];
    const Index m = S.rows, n = S.columns;
    const bool copies = S.column_stride != 1 || Y.column_stride != 1;
    struct Memory;
    Scratch<Memory> scratch(bytes<double>(n) + 2 * bytes<double>(m) + bytes<T>(copies ? 2 * n : 0));
    double *const q = scratch.template take<double>(n), *const share = scratch.template take<double>(m);
    double* const curvature = scratch.template take<double>(m);
    T* const copy = scratch.template take<T>(copies ? 2 * n : 0);
    const auto row = [&](const Matrix<const T>& A, Index i, T* to) {
        return long_rows(Matrix<const T>{A.row(i), 1, n, 0, A.column_stride}, 0, n, to, n).data;
    };
    for (Index j = 0; j < n; ++j) q[j] = static_cast<double>(g(0, j));
    double scale = given_scale(task.initial, b), zero = scale * 0;
    for (Index i = m - 1; i >= 0; --i) {
        const T *const s = row(S, i, copy), *const y = row(Y, i, copy + n);
        const PairDots dots = kernels.multiply(n, s, y, q);
        zero += dots.ss * 0 + dots.yy * 0;
        const bool is_wanted = !task.mask.data || task.mask[b](0, i) != T(0);
        curvature[i] = is_wanted && is_curved(dots.ss, dots.sy, dots.yy) ? dots.sy : 0;
        if (curvature[i] == 0) continue;
        if (scale == 0) scale = dots.sy / dots.yy;
        share[i] = dots.sq / dots.sy;
        kernels.add(n, -share[i], y, q);
    }
    if (scale == 0) scale = 1;
    if (zero != 0 || !(scale > 0)) scale = NAN;
    for (Index j = 0; j < n; ++j) q[j] *= scale;
    for (Index i = 0; i < m; ++i) {
        if (curvature[i] == 0) continue;
        const double other = kernels.dot(n, row(Y, i, copy + n), q) / curvature[i];
        kernels.add(n, share[i] - other, row(S, i, copy), q);
    }
    for (Index j = 0; j < n; ++j) direction(0, j) = static_cast<T>(-q[j]);
}

}  // namespace

template <class T>
void lbfgs_two_loop(const Queue& queue, const LbfgsTwoLoop<T>& task) {
    const Index m = task.S.rows, n = task.S.columns;
    std::vector<Item> items;
    Queue::append_batches(items, 0, task.g.batch, 500 + 4 * static_cast<double>(m * n));
    const TwoLoop<T>& kernels = queue.micro().template two_loop<T>();
    queue.run(items, [&](const Item& item) {
        Queue::for_each_matrix(item, [&](Index, Index b) { descend(kernels, task, b); });
    });
}

template void lbfgs_two_loop(const Queue&, const LbfgsTwoLoop<float>&);
template void lbfgs_two_loop(const Queue&, const LbfgsTwoLoop<double>&);

}  // namespace curvblas::cpu
