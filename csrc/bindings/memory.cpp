#include "bindings/memory.h"

#include <algorithm>
#include <cstdlib>

namespace curvblas {
namespace {

/// A contiguous piece of an array.
struct Run {
    const std::byte *begin, *end;
    const Array* array;
    bool written;
};

void require_no_self_overlap(const Array& a) {
    if (a.size() == 0) return;
    std::vector<int> axes;  // those that matter, the smallest stride first
    for (int k = 0; k < a.ndim; ++k)
        if (a.shape[k] > 1) axes.push_back(k);
    std::sort(axes.begin(), axes.end(), [&](int i, int j) { return std::abs(a.strides[i]) < std::abs(a.strides[j]); });
    Index reach = 1;
    for (const int k : axes) {
        const Index stride = std::abs(a.strides[k]);
        if (stride < reach)
            wrong_value(a.argument.text(),
                        " must not overlap itself, since it is written; got a view with repeated elements");
        reach += stride * (a.shape[k] - 1);
    }
}

void append_runs(const Array& a, bool written, std::vector<Run>& runs) {
    int inner = -1;  // the axis along which elements are neighbours
    for (int k = 0; k < a.ndim; ++k)
        if (std::abs(a.strides[k]) == 1 && a.shape[k] > 1) inner = k;
    const Index length = inner < 0 ? 1 : a.shape[inner], count = a.size() / length, size = item_size(a.dtype);
    for (Index i = 0; i < count; ++i) {
        Index rest = i, offset = 0;
        for (int k = a.ndim - 1; k >= 0; --k) {
            if (k == inner) continue;
            offset += rest % a.shape[k] * a.strides[k];
            rest /= a.shape[k];
        }
        if (inner >= 0 && a.strides[inner] < 0) offset -= length - 1;
        const auto* begin = static_cast<const std::byte*>(a.data) + offset * size;
        runs.push_back({begin, begin + length * size, &a, written});
    }
}

}  // namespace

void Memory::reads(const Group& group) {
    for (const Array& a : group.arrays) add(a, false);
}

void Memory::writes(const Group& group) {
    for (const Array& a : group.arrays) {
        require_no_self_overlap(a);
        add(a, true);
    }
}

void Memory::add(const Array& a, bool written) {
    if (a.size() == 0) return;
    const auto [low, high] = a.extent();
    const auto* data = static_cast<const std::byte*>(a.data);
    const Index size = item_size(a.dtype);
    extents_.push_back({data + low * size, data + high * size, &a, written});
}

void Memory::require_disjoint() const {
    std::vector<Extent> sorted = extents_;
    std::sort(sorted.begin(), sorted.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    for (std::size_t i = 0; i < sorted.size();) {
        const std::byte* end = sorted[i].end;
        bool written = sorted[i].written;
        std::size_t j = i + 1;  // [i, j): arrays whose extents hang together
        for (; j < sorted.size() && sorted[j].begin < end; ++j) {
            end = std::max(end, sorted[j].end);
            written = written || sorted[j].written;
        }
        if (written && j > i + 1) require_disjoint_elements(sorted.data() + i, sorted.data() + j);
        i = j;
    }
}

void Memory::require_disjoint_elements(const Extent* first, const Extent* last) {
    std::vector<Run> runs;
    for (; first != last; ++first) append_runs(*first->array, first->written, runs);
    std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.begin < b.begin; });
    const Run *furthest = nullptr, *furthest_written = nullptr;
    for (const Run& run : runs) {
        const Run* other = run.written ? furthest : furthest_written;
        if (other && run.begin < other->end) {
            const Array& written = run.written ? *run.array : *other->array;
            const Array& touched = run.written ? *other->array : *run.array;
            wrong_value(written.argument.text(), " is written and must not share memory with ",
                        touched.argument.short_text());
        }
        if (!furthest || run.end > furthest->end) furthest = &run;
        if (run.written && (!furthest_written || run.end > furthest_written->end)) furthest_written = &run;
    }
}

void require_output(const Group& out, std::initializer_list<const Group*> inputs) {
    require_writable(out, "");
    Memory memory;
    memory.writes(out);
    for (const Group* input : inputs) memory.reads(*input);
    memory.require_disjoint();
}

}  // namespace curvblas
