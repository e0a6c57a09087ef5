// How a length is cut into blocks.
#pragma once

#include <algorithm>

#include "core/view.h"

namespace curvblas::cpu {

/// Blocks of about equal size, at most `most` each: of n = 400 and most = 384 come 200 and 200, not 384 and 16.
struct Blocks {
    Index n, count, size;

    Blocks(Index n_, Index most)
        : n(n_), count((n_ + most - 1) / most), size(count > 0 ? (n_ + count - 1) / count : 0) {}
    Index begin(Index k) const { return k * size; }
    Index length(Index k) const { return std::min(size, n - k * size); }
};

}  // namespace curvblas::cpu
