#include "kernels/multiply.h"

#include <algorithm>

#include "cpu/product.h"

namespace curvblas::cpu {
namespace {

/// The longer side of C in blocks of about equal size: what is packed anew for each block is the smaller operand.
struct Blocks {
    template <class T>
    explicit Blocks(const Product<T>& product)
        : by_rows(product.C.rows >= product.C.columns),
          side(by_rows ? product.C.rows : product.C.columns),
          count(std::max<Index>(1, (side + most - 1) / most)),
          size((side + count - 1) / count) {}

    static constexpr Index most = 384;
    bool by_rows;
    Index side, count, size;
};

template <class T>
Matrix<T> rows_of(const Matrix<T>& A, Index first, Index count) {
    return {A.row(first), count, A.columns, A.row_stride, A.column_stride};
}

template <class T>
Matrix<T> columns_of(const Matrix<T>& A, Index first, Index count) {
    return {A.data + first * A.column_stride, A.rows, count, A.row_stride, A.column_stride};
}

}  // namespace

template <class T>
void multiply(const Queue& queue, std::span<const Product<T>> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        const auto& [A, B, C] = group[t];
        if (C.rows == 0 || C.columns == 0) continue;
        const Blocks blocks(group[t]);
        const double cost = cost_of_products<T>(1, C.rows, A.columns, C.columns);
        if (blocks.count == 1) {
            Queue::append_batches(items, t, C.batch, cost);
            continue;
        }
        for (Index b = 0; b < C.batch; ++b)
            for (Index block = 0; block < blocks.count; ++block)
                items.push_back({t, b, 1, block * blocks.size, cost / static_cast<double>(blocks.count)});
    }
    queue.run(items, [&](const Item& item) {
        const auto& [A, B, C] = group[item.task];
        const Blocks blocks(group[item.task]);
        const Index first = item.part, count = std::min(blocks.size, blocks.side - first);
        for (Index b = item.first; b < item.first + item.count; ++b)
            blocks.by_rows
                ? cpu::multiply(queue.micro(), rows_of(A[b], first, count), B[b], rows_of(C[b], first, count))
                : cpu::multiply(queue.micro(), A[b], columns_of(B[b], first, count), columns_of(C[b], first, count));
    });
}

template void multiply(const Queue&, std::span<const Product<float>>);
template void multiply(const Queue&, std::span<const Product<double>>);

}  // namespace curvblas::cpu
