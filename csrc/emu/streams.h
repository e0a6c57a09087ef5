// The emulator has no streams: it remembers which orders between them were asked for.
#pragma once

#include <vector>

namespace curvblas::emulator {

struct StreamOrder {
    void *later, *earlier;
};
inline std::vector<StreamOrder> stream_orders;

}  // namespace curvblas::emulator
