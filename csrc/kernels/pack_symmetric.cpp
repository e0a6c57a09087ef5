#include "kernels/pack_symmetric.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "cpu/move.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

// An item is that many rows of a matrix. When they are unpacked, their mirror image is pieces of columns: 512 bytes in
// float32, long enough for the lines that two items share at their ends not to matter.
constexpr Index height = 128;
// Columns that are turned at a time: 16 kB in float64, for the first-level cache.
constexpr Index panel = 16;

/// The first row of item k: so that pieces of columns begin where cache lines do, if they can.
template <class T>
Index first_row(Index k, const Matrix<T>& C) {
    const bool all_alike = C.column_stride == 1 && C.row_stride % line_size<T> == 0;
    return std::clamp<Index>(k * height - (all_alike ? place_in_line(C.data) : 0), 0, C.rows);
}

/// Writes elements of the packed form, which may be strided.
template <class T>
void write_packed(Index n, const T* from, T* to, Index stride, Writing writing) {
    if (stride == 1) return write(n, from, to, writing);
    for (Index k = 0; k < n; ++k) to[k * stride] = from[k];
}

/// Rows [first, last) of C one after the other; they are contiguous in C.
template <class T>
void pack_contiguous_rows(const Matrix<const T>& C, Index first, Index last, T* to, Index stride, Writing writing) {
    if (stride == 1 && writing == Writing::past_caches) {
        constexpr Index ahead = 1024 / sizeof(T);  // the processor's own prefetching begins anew with each row
        LineWriter<T> lines(to);
        for (Index i = first; i < last; ++i) {
            const T* const next = C.row(std::min(i + 1, last - 1));
            for (Index j = 0; j < std::min(i, ahead); j += line_size<T>) __builtin_prefetch(next + j);
            lines.append(i + 1, C.row(i));
        }
        return;
    }
    for (Index i = first; i < last; to += ++i * stride) write_packed(i + 1, C.row(i), to, stride, Writing::ordinary);
}

/// The same for any strides: the rows are put together in scratch, a few columns at a time, which stay in the
/// first-level cache whether rows or columns are neighbours in memory.
template <class T>
void pack_strided_rows(const Matrix<const T>& C, Index first, Index last, T* to, Index stride, Writing writing) {
    const Index count = triangle(last) - triangle(first);
    Scratch<PackSymmetric<T>> scratch(padded(count * static_cast<Index>(sizeof(T))));
    T* const rows = scratch.template take<T>(count);
    for (Index j0 = 0; j0 < last; j0 += panel)
        for (Index j = j0; j < std::min(j0 + panel, last); ++j)
            for (Index i = std::max(first, j); i < last; ++i) rows[triangle(i) - triangle(first) + j] = C(i, j);
    write_packed(count, rows, to, stride, writing);
}

/// Rows [first, last) of a lower triangle, contiguous.
template <class T>
struct PackedRows {
    const T* data;
    Index first, last;

    const T* row(Index i) const { return data + triangle(i) - triangle(first); }
};

/// C(j, i) = C(i, j) for the packed rows i and the columns j below i of one panel. C has contiguous rows.
template <class T>
void write_mirror_image(const PackedRows<T>& packed, Index j0, const Matrix<T>& C, Writing writing) {
    constexpr Index lanes = transposed_rows<T>;
    const Index first = packed.first, last = packed.last, columns = std::min(panel, last - j0);
    T turned[panel * height];
    for (Index i = first; i < last;) {
        if (i >= j0 + panel && i + lanes <= last) {
            const T* rows[lanes];
            for (Index l = 0; l < lanes; ++l) {
                rows[l] = packed.row(i + l) + j0;
                __builtin_prefetch(rows[l] + 2 * panel);
            }
            for (Index j = 0; j < panel; j += lanes) {
                transpose_square(rows, turned + j * height + i - first, height);
                for (const T*& row : rows) row += lanes;
            }
            i += lanes;
        } else {
            for (Index j = 0; j < std::min(columns, i - j0); ++j)
                turned[j * height + i - first] = packed.row(i)[j0 + j];
            ++i;
        }
    }
    for (Index j = 0; j < columns; ++j) {
        const Index begin = std::max(first, j0 + j + 1);
        if (begin < last) write(last - begin, turned + j * height + begin - first, C.row(j0 + j) + begin, writing);
    }
}

/// First whole rows, which reads and writes memory in order; then their mirror image, from the caches.
template <class T>
void unpack_rows(const PackedRows<T>& packed, const Matrix<T>& C, Writing writing) {
    for (Index i = packed.first; i < packed.last; ++i) write(i + 1, packed.row(i), C.row(i), writing);
    for (Index j = 0; j < packed.last; j += panel) write_mirror_image(packed, j, C, writing);
}

template <class T>
void unpack_rows_strided(const PackedRows<T>& packed, const Matrix<T>& C) {
    for (Index j0 = 0; j0 < packed.last; j0 += panel)
        for (Index i = std::max(packed.first, j0); i < packed.last; ++i)
            for (Index j = j0; j <= std::min(j0 + panel - 1, i); ++j) C(i, j) = C(j, i) = packed.row(i)[j];
}

template <class T>
void unpack_block(const UnpackSymmetric<T>& task, Index b, Index first, Index last, Writing writing) {
    Matrix<T> C = task.C[b];
    // C and its transpose are the same matrix: the smaller stride may be that of the columns.
    if (std::abs(C.row_stride) < std::abs(C.column_stride)) std::swap(C.row_stride, C.column_stride);
    const T* const packed = task.packed + (b * triangle(C.rows) + triangle(first)) * task.stride;
    const Index count = task.stride == 1 ? 0 : triangle(last) - triangle(first);
    Scratch<UnpackSymmetric<T>> scratch(padded(count * static_cast<Index>(sizeof(T))));
    T* const gathered = scratch.template take<T>(count);
    for (Index k = 0; k < count; ++k) gathered[k] = packed[k * task.stride];
    const PackedRows<T> rows{task.stride == 1 ? packed : gathered, first, last};
    C.column_stride == 1 ? unpack_rows(rows, C, writing) : unpack_rows_strided(rows, C);
}

/// Calls work(task, b, first, last) for blocks of rows that cover all matrices of the group. An element of the packed
/// form moves `bytes` bytes.
template <class Task, class Work>
void for_each_block(const Queue& queue, std::span<const Task> group, double bytes, const Work& work) {
    const auto begin = [](const Task& task, Index k) { return first_row(k, task.C[0]); };
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const Index n = group[t].C.rows;
        // The queue's unit of cost, a tenth of a nanosecond of one core, is about what a byte takes.
        const auto cost = [&](Index first, Index last) {
            return 500 + bytes * static_cast<double>(triangle(last) - triangle(first));
        };
        if (n == 0) continue;
        if (n <= height) {
            Queue::append_batches(items, t, group[t].C.batch, cost(0, n));
            continue;
        }
        for (Index b = 0; b < group[t].C.batch; ++b)
            for (Index k = 0; begin(group[t], k) < n; ++k)
                items.push_back({t, b, 1, k, cost(begin(group[t], k), begin(group[t], k + 1))});
    }
    queue.run(items, [&](const Item& item) {
        const Task& task = group[item.task];
        const bool whole = task.C.rows <= height;
        const Index first = whole ? 0 : begin(task, item.part), last = whole ? task.C.rows : begin(task, item.part + 1);
        for (Index b = item.first; b < item.first + item.count; ++b) work(task, b, first, last);
        settle();
    });
}

}  // namespace

template <class T>
void pack_symmetric(const Queue& queue, std::span<const PackSymmetric<T>> group) {
    Index elements = 0;
    for (const auto& task : group) elements += task.C.batch * triangle(task.C.rows);
    const Writing writing = writing_of(elements * static_cast<Index>(sizeof(T)));
    for_each_block(queue, group, 2 * sizeof(T), [&](const auto& task, Index b, Index first, Index last) {
        const Matrix<const T> C = task.C[b];
        T* const to = task.packed + (b * triangle(C.rows) + triangle(first)) * task.stride;
        const auto pack = C.column_stride == 1 ? pack_contiguous_rows<T> : pack_strided_rows<T>;
        pack(C, first, last, to, task.stride, writing);
    });
}

template <class T>
void unpack_symmetric(const Queue& queue, std::span<const UnpackSymmetric<T>> group) {
    Index elements = 0;
    for (const auto& task : group) elements += task.C.batch * task.C.rows * task.C.rows;
    const Writing writing = writing_of(elements * static_cast<Index>(sizeof(T)));
    for_each_block(queue, group, 3 * sizeof(T), [&](const auto& task, Index b, Index first, Index last) {
        unpack_block(task, b, first, last, writing);
    });
}

template void pack_symmetric(const Queue&, std::span<const PackSymmetric<float>>);
template void pack_symmetric(const Queue&, std::span<const PackSymmetric<double>>);
template void unpack_symmetric(const Queue&, std::span<const UnpackSymmetric<float>>);
template void unpack_symmetric(const Queue&, std::span<const UnpackSymmetric<double>>);

}  // namespace curvblas::cpu
