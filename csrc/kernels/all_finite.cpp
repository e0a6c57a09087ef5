#include "kernels/all_finite.h"

#include <algorithm>
#include <atomic>

namespace curvblas::cpu {
namespace {

constexpr std::uint16_t float16_exponent = 0x7c00, bfloat16_exponent = 0x7f80;

bool row_is_finite(const Micro& micro, DType dtype, const void* x, Index n) {
    switch (dtype) {
        case DType::float64:
            return micro.finite_64(n, static_cast<const std::uint64_t*>(x));
        case DType::float32:
            return micro.finite_32(n, static_cast<const std::uint32_t*>(x));
        case DType::float16:
            return micro.finite_16(n, static_cast<const std::uint16_t*>(x), float16_exponent);
        case DType::bfloat16:
            return micro.finite_16(n, static_cast<const std::uint16_t*>(x), bfloat16_exponent);
    }
    return false;
}

bool row_is_finite(const Micro& micro, const Rows& rows, Index r) {
    const auto* x = static_cast<const std::byte*>(rows.row(0, r));
    if (rows.d_stride == 1) return row_is_finite(micro, rows.dtype, x, rows.d);
    const Index step = rows.d_stride * item_size(rows.dtype);
    for (Index j = 0; j < rows.d; ++j)
        if (!row_is_finite(micro, rows.dtype, x + j * step, 1)) return false;
    return true;
}

}  // namespace

bool all_finite(const Queue& queue, std::span<const Rows> group) {
    std::vector<Item> items;
    for (Index t = 0; t < static_cast<Index>(group.size()); ++t) {
        // Items are rows here: `first` and `count` run over the rows of a task.
        const double cost = 20 + static_cast<double>(group[t].d);
        Queue::append_batches(items, t, group[t].count(), cost);
    }
    std::atomic<bool> finite{true};
    queue.run(items, [&](const Item& item) {
        const Rows& rows = group[item.task];
        for (Index i = item.first; i < item.first + item.count && finite.load(std::memory_order_relaxed); ++i)
            if (!row_is_finite(queue.micro(), rows, i)) finite = false;
    });
    return finite;
}

}  // namespace curvblas::cpu
