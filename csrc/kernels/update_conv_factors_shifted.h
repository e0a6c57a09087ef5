// Patch moments by shifts: for convolutions of stride 1, see update_conv_factors.h.
#pragma once

#include <span>

#include "core/moving_average.h"
#include "kernels/update_conv_factors.h"

namespace curvblas::cpu {

template <class T>
MovingAverage<T> average_of(const UpdateConvFactors<T>& task, Index b) {
    return {task.decay[b], task.scale ? &task.scale[b] : nullptr, task.images.N};
}

/// True where shifts are the faster way; depends on the geometry and the instruction set alone.
template <class T>
bool prefers_shifts(const Tile<T>& tile, const UpdateConvFactors<T>& task);

template <class T>
void update_by_shifts(const Queue& queue, std::span<const UpdateConvFactors<T>> group);

template <class T>
Index shifts_workspace_bytes(const Queue& queue, std::span<const UpdateConvFactors<T>> group);

}  // namespace curvblas::cpu
