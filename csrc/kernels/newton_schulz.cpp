#include "kernels/newton_schulz.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/norm.h"
#include "cpu/scratch.h"
#include "cpu/symmetric.h"

namespace curvblas::cpu {
namespace {

/// From here on the blocks of one product are worth more than one thread: 2 s^2 l of a 512 x 512 matrix.
constexpr double large = 2.5e8;

/// The working memory of one matrix: X and the next X (s, l), A and M (s, s), all contiguous.
template <class T>
struct Work {
    Index s, l;
    T *X, *next, *A, *M;

    static Index bytes_for(Index s, Index l) { return 2 * bytes<T>(s * l) + 2 * bytes<T>(s * s); }
    template <class Tag>
    Work(Index s_, Index l_, Scratch<Tag>& scratch) : s(s_), l(l_) {
        X = scratch.template take<T>(s * l), next = scratch.template take<T>(s * l);
        A = scratch.template take<T>(s * s), M = scratch.template take<T>(s * s);
    }
};

template <class T>
Matrix<const T> contiguous(const T* data, Index rows, Index columns) {
    return {data, rows, columns, columns, 1};
}

/// The matrix itself, or its transpose if that is the wide one.
template <class T>
Matrix<T> wide(const Matrix<T>& B) {
    return B.rows <= B.columns ? B : Matrix<T>{B.data, B.columns, B.rows, B.column_stride, B.row_stride};
}

/// X = B / (||B||_F + epsilon); NaN where the norm is not finite.
template <class T>
void load(const Matrix<const T>& B, const Work<T>& work) {
    for (Index i = 0; i < work.s; ++i)
        for (Index j = 0; j < work.l; ++j) work.X[i * work.l + j] = B(i, j);
    const double size = norm(work.s * work.l, work.X);
    const double divisor =
        std::isfinite(size) ? size + newton_schulz_epsilon : std::numeric_limits<double>::quiet_NaN();
    for (Index e = 0; e < work.s * work.l; ++e) work.X[e] = static_cast<T>(static_cast<double>(work.X[e]) / divisor);
}

template <class T>
void store(const Work<T>& work, const Matrix<T>& X) {
    for (Index i = 0; i < work.s; ++i)
        for (Index j = 0; j < work.l; ++j) X(i, j) = work.X[i * work.l + j];
}

/// M = a I + b A + c M for M = A^2, in rows [first, first + rows).
template <class T>
void form_polynomial(const NewtonSchulzSteps& steps, const Work<T>& work, Index first, Index rows) {
    const auto a = static_cast<T>(steps.a), b = static_cast<T>(steps.b), c = static_cast<T>(steps.c);
    for (Index i = first; i < first + rows; ++i) {
        T* const row = work.M + i * work.s;
        for (Index j = 0; j < work.s; ++j) row[j] = b * work.A[i * work.s + j] + c * row[j];
        row[i] += a;
    }
}

/// One matrix on one thread.
template <class T>
void orthogonalise(const Micro& micro, const NewtonSchulz<T>& task, Index b, const NewtonSchulzSteps& steps) {
    const Matrix<const T> B = wide(task.B[b]);
    const Index s = B.rows, l = B.columns;
    Scratch<NewtonSchulz<T>> scratch(Work<T>::bytes_for(s, l));
    Work<T> work(s, l, scratch);
    load(B, work);
    for (Index step = 0; step < steps.count; ++step) {
        square_of_rows(micro, contiguous(work.X, s, l), work.A);
        square_of_rows(micro, contiguous(work.A, s, s), work.M);
        form_polynomial(steps, work, 0, s);
        cpu::multiply<T>(micro, contiguous(work.M, s, s), contiguous(work.X, s, l), {work.next, s, l, l, 1});
        std::swap(work.X, work.next);
    }
    store(work, wide(task.X[b]));
}

/// One matrix on all threads: each product in blocks.
template <class T>
void orthogonalise_large(const Queue& queue, const NewtonSchulz<T>& task, Index b, const NewtonSchulzSteps& steps) {
    const Matrix<const T> B = wide(task.B[b]);
    const Index s = B.rows, l = B.columns;
    Scratch<Work<T>> scratch(Work<T>::bytes_for(s, l));
    Work<T> work(s, l, scratch);
    load(B, work);
    const EvenParts rows(s, 256, 4), columns(l, 1024, 1);
    for (Index step = 0; step < steps.count; ++step) {
        square_of_rows(queue, contiguous(work.X, s, l), work.A);
        square_of_rows(queue, contiguous(work.A, s, s), work.M);
        form_polynomial(steps, work, 0, s);
        std::vector<Item> items;
        for (Index i = 0; i < rows.count; ++i)
            for (Index j = 0; j < columns.count; ++j) items.push_back({i, j, 1, 0, large});
        queue.run(items, [&](const Item& item) {
            const Index i0 = rows.first(item.task), j0 = columns.first(item.first);
            const Index height = rows.size(item.task), width = columns.size(item.first);
            cpu::multiply<T>(queue.micro(), {work.M + i0 * s, height, s, s, 1}, {work.X + j0, s, width, l, 1},
                             {work.next + i0 * l + j0, height, width, l, 1});
        });
        std::swap(work.X, work.next);
    }
    store(work, wide(task.X[b]));
}

}  // namespace

template <class T>
void newton_schulz(const Queue& queue, std::span<const NewtonSchulz<T>> group, const NewtonSchulzSteps& steps) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto& B = group[t].B;
        const auto s = static_cast<double>(std::min(B.rows, B.columns)),
                   l = static_cast<double>(std::max(B.rows, B.columns));
        if (s == 0) continue;
        if (2 * s * s * l >= large) {
            for (Index b = 0; b < B.batch; ++b) orthogonalise_large(queue, group[t], b, steps);
            continue;
        }
        const double cost_of_step = 3000 + s * s * (3 * l + s);
        Queue::append_batches(items, t, B.batch, static_cast<double>(steps.count) * cost_of_step + 4 * s * l);
    }
    queue.run(items, [&](const Item& item) {
        for (Index b = item.first; b < item.first + item.count; ++b)
            orthogonalise(queue.micro(), group[item.task], b, steps);
    });
}

template void newton_schulz(const Queue&, std::span<const NewtonSchulz<float>>, const NewtonSchulzSteps&);
template void newton_schulz(const Queue&, std::span<const NewtonSchulz<double>>, const NewtonSchulzSteps&);

}  // namespace curvblas::cpu
