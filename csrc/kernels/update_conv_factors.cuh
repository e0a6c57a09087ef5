// What the two ways to the factor of a convolution share, and the way by shifts.
#pragma once

#include "cuda/second_moments.cuh"
#include "kernels/update_conv_factors.h"

namespace curvblas::CURVBLAS_BACKEND {

/// A position of N boxes of one extent, counted with x fastest, that moves on by a fixed number of positions.
class Walk {
  public:
    Index n, at[3];

    __device__ Walk(const Index (&extent)[3], Index first, Index step) : extent_{extent[0], extent[1], extent[2]} {
        split(first, n, at);
        split(step, step_n_, step_);
    }

    /// Digit by digit, with a carry: no division.
    __device__ void advance() {
        n += step_n_;
#pragma unroll
        for (int a = 2; a >= 0; --a) {
            at[a] += step_[a];
            if (at[a] < extent_[a]) continue;
            at[a] -= extent_[a];
            ++(a > 0 ? at[a - 1] : n);
        }
    }

  private:
    __device__ void split(Index position, Index& image, Index (&digits)[3]) const {
#pragma unroll
        for (int a = 2; a >= 0; --a) digits[a] = position % extent_[a], position /= extent_[a];
        image = position;
    }

    Index extent_[3], step_n_, step_[3];
};

/// Brings an element of the images to shared memory, in the background where it needs no conversion.
template <class T>
__device__ void stage_element(T* to, const Images& images, Index offset) {
    if (images.dtype == dtype_of<T>)
        copy_async<sizeof(T)>(to, static_cast<const T*>(images.data) + offset, true);
    else
        *to = element<T>(images.dtype, images.data, offset);
}

template <class T>
__device__ MovingAverage<T> average_of(const UpdateConvFactors<T>& task, Index b) {
    return {task.decay[b], task.scale ? task.scale + b : nullptr, task.images.N};
}

/// In how many partial sums so many rows are summed, each of them long enough to pay for its join.
inline Index parts_of(Index rows) {
    constexpr Index rows_per_part = 1024, enough_parts = 256;
    return ranges_of(rows, std::min((rows + rows_per_part - 1) / rows_per_part, enough_parts));
}

/// How many partial sums a group may hold at a time: a sixteenth of what its patches would take, but no less than what
/// occupies a device, and no more than 64 MiB.
template <class T>
Index most_slots(std::span<const UpdateConvFactors<T>> group) {
    double patches = 0;
    for (const auto& task : group)
        patches += static_cast<double>(task.images.N * task.geometry.positions()) *
                   static_cast<double>(task.updated.rows * task.updated.batch);
    constexpr double slot_bytes = slot_size<T> * sizeof(T), least = 2 << 20, most = 64 << 20;
    return static_cast<Index>(std::clamp(patches * sizeof(T) / 16, least, most) / slot_bytes);
}

template <class Entry>
Index table_bytes(const std::vector<Entry>& table) {
    return static_cast<Index>(table.size() * sizeof(Entry));
}

/// True where shifts take fewer steps of tiles than patches; depends on the geometry alone.
template <class T>
bool prefers_shifts(const UpdateConvFactors<T>& task);

template <class T>
void update_by_shifts(const Queue& queue, std::span<const UpdateConvFactors<T>> group);

template <class T>
Index shifts_workspace_bytes(std::span<const UpdateConvFactors<T>> group);

}  // namespace curvblas::CURVBLAS_BACKEND
