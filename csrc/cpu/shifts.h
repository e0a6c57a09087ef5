// How the positions that two kernel offsets see together depend on their difference, along one axis of stride 1.
#pragma once

#include <algorithm>
#include <vector>

#include "core/view.h"

namespace curvblas::cpu {

/// Offsets k and k + difference see positions u and u + shift, where u runs over the window of k: what is inside the
/// image for both, and belongs to an output. All windows of one difference are unions of neighbouring segments: a long
/// core, and short ones at the borders. Sums over segments are added, never subtracted.
struct AxisShift {
    Index shift, first_offset, offsets;
    std::vector<Index> cuts;  ///< segment s is [cuts[s], cuts[s + 1])
    struct Window {
        int first, last;  ///< segments [first, last)
    };
    std::vector<Window> windows;  ///< of the offsets from first_offset on

    AxisShift(Index size, Index kernel, Index padding, Index dilation, Index difference)
        : shift(difference * dilation),
          first_offset(std::max<Index>(0, -difference)),
          offsets(kernel - std::abs(difference)) {
        const Index outputs = size + 2 * padding - dilation * (kernel - 1);
        const auto low = [&](Index k) { return std::max({Index{0}, k * dilation - padding, -shift}); };
        const auto high = [&](Index k) { return std::min({size, k * dilation - padding + outputs, size - shift}); };
        for (Index k = first_offset; k < first_offset + offsets; ++k)
            if (low(k) < high(k)) cuts.push_back(low(k)), cuts.push_back(high(k));
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        const auto index = [&](Index cut) {
            return static_cast<int>(std::lower_bound(cuts.begin(), cuts.end(), cut) - cuts.begin());
        };
        for (Index k = first_offset; k < first_offset + offsets; ++k)
            windows.push_back(low(k) < high(k) ? Window{index(low(k)), index(high(k))} : Window{0, 0});
    }
    int segments() const { return std::max(static_cast<int>(cuts.size()) - 1, 0); }
    const Window& window(Index offset) const { return windows[static_cast<std::size_t>(offset - first_offset)]; }
};

/// The shifts of one axis for all differences, from 1 - kernel to kernel - 1.
struct AxisShifts {
    Index kernel;
    std::vector<AxisShift> each;

    AxisShifts(Index size, Index kernel_, Index padding, Index dilation) : kernel(kernel_) {
        for (Index d = 1 - kernel; d < kernel; ++d) each.emplace_back(size, kernel, padding, dilation, d);
    }
    const AxisShift& of(Index difference) const { return each[static_cast<std::size_t>(difference + kernel - 1)]; }
    int most_segments() const {
        int most = 0;
        for (const AxisShift& s : each) most = std::max(most, s.segments());
        return most;
    }
    int all_segments() const {
        int all = 0;
        for (const AxisShift& s : each) all += s.segments();
        return all;
    }
};

}  // namespace curvblas::cpu
