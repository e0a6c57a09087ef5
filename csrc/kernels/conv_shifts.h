// Which products of a convolution of stride 1 are the same: the arithmetic of windows and segments, for the host.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/update_conv_factors.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Kernel offsets k and k + D along one axis of stride 1. Where k sees input position u, k + D sees u + D dilation;
/// both lie in the input while u is in the window of k. The ends of all windows cut the axis into segments, so that
/// every window is a run of whole segments: what is summed once over each segment is only ever added.
struct AxisDifference {
    /// Offset k and its segments [begin, end); none where k or k + D sees nothing but padding.
    struct Window {
        Index k;
        int begin, end;
    };

    Index D;
    std::vector<Index> cuts;  // segment s is [cuts[s], cuts[s + 1])
    std::vector<Window> windows;

    AxisDifference(const ConvAxis& axis, Index difference) : D(difference) {
        const auto window = [&](Index k) {
            const Index seen = k * axis.dilation - axis.padding, moved = D * axis.dilation;
            const Index begin = std::max({Index{0}, seen, -moved});
            return std::pair(begin, std::max(begin, std::min({axis.size, seen + axis.outputs(), axis.size - moved})));
        };
        const Index first = std::max<Index>(0, -D), last = std::min(axis.kernel, axis.kernel - D);
        for (Index k = first; k < last; ++k)
            if (const auto [begin, end] = window(k); begin < end) cuts.insert(cuts.end(), {begin, end});
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        const auto segment = [&](Index u) {
            return static_cast<int>(std::lower_bound(cuts.begin(), cuts.end(), u) - cuts.begin());
        };
        for (Index k = first; k < last; ++k) {
            const auto [begin, end] = window(k);
            windows.push_back(begin < end ? Window{k, segment(begin), segment(end)} : Window{k, 0, 0});
        }
    }

    int segments() const { return std::max(static_cast<int>(cuts.size()) - 1, 0); }
    Index length(int s) const { return cuts[s + 1] - cuts[s]; }
};

/// The difference of two kernel offsets, one part for each axis. A box is a product of one segment of each.
struct Difference {
    const AxisDifference* axis[3];

    bool is_zero() const { return axis[0]->D == 0 && axis[1]->D == 0 && axis[2]->D == 0; }

    /// f(z, y, x) for the boxes, or f(window, window, window) for the pairs of offsets, x fastest.
    template <class F>
    void for_each_box(const F& f) const {
        for (int z = 0; z < axis[0]->segments(); ++z)
            for (int y = 0; y < axis[1]->segments(); ++y)
                for (int x = 0; x < axis[2]->segments(); ++x) f(z, y, x);
    }
    template <class F>
    void for_each_pair(const F& f) const {
        for (const auto& z : axis[0]->windows)
            for (const auto& y : axis[1]->windows)
                for (const auto& x : axis[2]->windows) f(z, y, x);
    }
    /// Positions of box (z, y, x) in one image.
    Index volume(int z, int y, int x) const { return axis[0]->length(z) * axis[1]->length(y) * axis[2]->length(x); }
};

/// All differences of a kernel's offsets, of which one of D and -D: the other one's products are the transposed.
class Differences {
  public:
    explicit Differences(const ConvGeometry& geometry) {
        for (int a = 0; a < 3; ++a) {
            const Index most = geometry.axis[a].kernel - 1;
            for (Index D = -most; D <= most; ++D) along_[a].emplace_back(geometry.axis[a], D);
        }
    }

    template <class F>
    void for_each(const F& f) const {
        for (const auto& z : along_[0])
            for (const auto& y : along_[1])
                for (const auto& x : along_[2])
                    if (z.D > 0 || (z.D == 0 && (y.D > 0 || (y.D == 0 && x.D >= 0)))) f(Difference{{&z, &y, &x}});
    }

  private:
    std::vector<AxisDifference> along_[3];
};

}  // namespace curvblas::CURVBLAS_BACKEND
