// Which products of a convolution of stride 1 are the same: the arithmetic of windows and segments, for the host.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "kernels/update_conv_factors.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Kernel offsets k and k + D along one axis of stride 1. Where k sees input position u, k + D sees u + shift; both lie
/// in the input while u is in the window of k. The ends of all windows cut the axis into segments, a long core and
/// short ones at the borders, so that every window is a run of whole segments: what is summed once over each segment
/// is only ever added.
struct AxisDifference {
    Index D, shift;
    Index first_offset, offsets;  // those k for which k + D is an offset too
    std::vector<Index> cuts;      // segment s is [cuts[s], cuts[s + 1])

    /// Segments [begin, end); none where k or k + D sees nothing but padding.
    struct Window {
        int begin, end;
    };

    AxisDifference(const ConvAxis& axis, Index difference)
        : D(difference),
          shift(difference * axis.dilation),
          first_offset(std::max<Index>(0, -difference)),
          offsets(axis.kernel - std::abs(difference)) {
        std::vector<Index> ends;  // of all windows: begin, end, begin, end, ...
        for (Index k = first_offset; k < first_offset + offsets; ++k) {
            const Index seen = k * axis.dilation - axis.padding;
            const Index begin = std::max({Index{0}, seen, -shift});
            const Index end = std::min({axis.size, seen + axis.outputs(), axis.size - shift});
            ends.insert(ends.end(), {begin, end});
            if (begin < end) cuts.insert(cuts.end(), {begin, end});
        }
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        const auto segment = [&](Index u) {
            return static_cast<int>(std::lower_bound(cuts.begin(), cuts.end(), u) - cuts.begin());
        };
        for (std::size_t e = 0; e < ends.size(); e += 2)
            windows_.push_back(ends[e] < ends[e + 1] ? Window{segment(ends[e]), segment(ends[e + 1])} : Window{0, 0});
    }

    int segments() const { return std::max(static_cast<int>(cuts.size()) - 1, 0); }
    Index length(int s) const { return cuts[s + 1] - cuts[s]; }
    const Window& window(Index k) const { return windows_[static_cast<std::size_t>(k - first_offset)]; }

  private:
    std::vector<Window> windows_;  // of the offsets from first_offset on
};

/// All differences of the offsets along one axis, from 1 - kernel to kernel - 1.
struct AxisDifferences {
    Index kernel;
    std::vector<AxisDifference> each;

    explicit AxisDifferences(const ConvAxis& axis) : kernel(axis.kernel) {
        for (Index D = 1 - kernel; D < kernel; ++D) each.emplace_back(axis, D);
    }
    const AxisDifference& of(Index D) const { return each[static_cast<std::size_t>(D + kernel - 1)]; }
    int most_segments() const {
        int most = 0;
        for (const AxisDifference& d : each) most = std::max(most, d.segments());
        return most;
    }
    int all_segments() const {
        int all = 0;
        for (const AxisDifference& d : each) all += d.segments();
        return all;
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
