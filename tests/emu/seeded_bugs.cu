// Kernels with one bug each, and their fixed twins: what the checked emulation must find, and where. A line that ends
// in "// FOUND" is the one that the finding names.
#include <vector>

#include "cuda/block.cuh"
#include "queue.h"
#include "seeded_bugs.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int threads = 64;

/// Sums tiles that threads bring to shared memory for each other.
template <bool fixed>
__global__ void missing_barrier_at_loop_end(const float* x, float* sums) {
    float* const tile = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    float sum = 0;
    for (int k = 0; k < 4; ++k) {
        tile[t] = x[k * threads + t];  // FOUND
        __syncthreads();
        sum += tile[threads - 1 - t];
        if (fixed) __syncthreads();
    }
    sums[t] = sum;
}

/// Sums the columns of 4 rows in steps of 8 rows; the rows that do not exist are multiplied by zero.
template <bool fixed>
__global__ void missing_row_bound(const float* x, float* sums) {
    constexpr int rows = 4;
    const int t = static_cast<int>(threadIdx.x);
    float sum = 0;
    for (int r = 0; r < 8; ++r) {
        if (fixed && r >= rows) break;
        const float value = x[r * threads + t];  // FOUND
        sum += r < rows ? value : 0;
    }
    sums[t] = sum;
}

/// Pairs that one thread writes as a whole, while another reads a half.
template <bool fixed>
__global__ void half_of_what_another_writes(const float* x, float* sums) {
    auto* const pairs = dynamic_shared<double>();
    const auto* const halves = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    pairs[t] = static_cast<double>(x[t]);
    __syncthreads();
    pairs[fixed ? t : threads - 1 - t] = static_cast<double>(halves[2 * t + 1]);  // FOUND
    sums[t] = static_cast<float>(pairs[t]);
}

/// Bytes that two threads write into one word, of which one belongs to both.
template <bool fixed>
__global__ void byte_of_two_threads(const float* x, float* sums) {
    auto* const bytes = dynamic_shared<unsigned char>();
    const int t = static_cast<int>(threadIdx.x);
    for (int k = 0; k < (fixed ? 3 : 4); ++k) bytes[3 * t + k] = static_cast<unsigned char>(x[t]);  // FOUND
    sums[t] = bytes[3 * t];
}

/// Two groups of copies, of which only the first has surely arrived.
template <bool fixed>
__global__ void last_copy_group_not_waited_for(const float* x, float* sums) {
    float* const tiles = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    for (int k = 0; k < 2; ++k) {
        copy_async<4>(tiles + k * threads + t, x + k * threads + t, true);
        commit_copies();
    }
    wait_for_copies<fixed ? 0 : 1>();
    sums[t] = tiles[t] + tiles[threads + t];  // FOUND
    wait_for_copies<0>();
}

template <bool fixed>
__global__ void barrier_in_divergent_code(const float* x, float* sums) {
    const int t = static_cast<int>(threadIdx.x);
    sums[t] = x[t];
    if (fixed || t < threads / 2) {
        __syncthreads();  // FOUND
    }
}

/// Forward substitution with a 4 x 4 triangle, a thread a row of the panel; then each thread uses its neighbour's row.
template <bool fixed>
__global__ void missing_barrier_after_panel_solve(const float* x, float* sums) {
    float* const panel = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    for (int j = 0; j < 4; ++j) {
        float value = x[j * threads + t];
        for (int k = 0; k < j; ++k) value = fmaf(-0.5f, panel[t * 4 + k], value);
        panel[t * 4 + j] = value;
    }
    if (fixed) __syncthreads();
    float sum = 0;
    for (int j = 0; j < 4; ++j) sum = fmaf(panel[t * 4 + j], panel[(t + 1) % threads * 4 + j], sum);  // FOUND
    sums[t] = sum;
}

/// The last column of the tile is padding that nobody fills.
template <bool fixed>
__global__ void read_of_unwritten_shared_memory(const float* x, float* sums) {
    float* const tile = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    tile[t] = x[t];
    __syncthreads();
    const float next = fixed && t + 1 == threads ? 0 : tile[t + 1];  // FOUND
    sums[t] = tile[t] + next * 0;
}

template <bool fixed>
__global__ void local_array_overrun(const float* x, float* sums) {
    const int t = static_cast<int>(threadIdx.x);
    const int width = static_cast<int>(blockDim.x) / 16 + (fixed ? 0 : 1);
    float window[4];
    for (int k = 0; k < width; ++k) window[k] = x[(t + k) % threads];  // FOUND
    sums[t] = window[t % 4];
}

/// Neighbouring blocks write the element between them.
template <bool fixed>
__global__ void race_between_blocks(const float* x, float* sums) {
    const unsigned first = blockIdx.x * threads, t = threadIdx.x;
    sums[first + t] = x[t];  // FOUND
    if (!fixed && blockIdx.x == 0 && t == 0) sums[threads] = x[0];
}

/// Lanes exchange through shared memory with a shuffle for a fence.
template <bool fixed>
__global__ void shuffle_instead_of_syncwarp(const float* x, float* sums) {
    float* const tile = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    tile[t] = x[t];
    const int lane = __shfl_xor_sync(whole_warp, t, 1);
    if (fixed) __syncwarp();
    sums[t] = tile[lane];  // FOUND
}

template <bool fixed>
__global__ void shuffle_in_divergent_code(const float* x, float* sums) {
    const int t = static_cast<int>(threadIdx.x);
    float value = x[t];
    if (fixed || t % 2 == 0) value += __shfl_xor_sync(whole_warp, value, 1);  // FOUND
    sums[t] = value;
}

template <bool fixed>
__global__ void pointer_of_the_host(const float* x, float* sums, const float* host) {
    const int t = static_cast<int>(threadIdx.x);
    sums[t] = fixed ? x[t] : host[t];  // FOUND
}

/// All threads add to one word.
template <bool fixed>
__global__ void sum_without_atomics(const float* x, float* sums) {
    int* const total = dynamic_shared<int>();
    const int t = static_cast<int>(threadIdx.x);
    if (t == 0) *total = 0;
    __syncthreads();
    if (fixed)
        atomicAdd(total, static_cast<int>(x[t]));
    else
        *total += static_cast<int>(x[t]);  // FOUND
    __syncthreads();
    if (t == 0) sums[0] = static_cast<float>(*total);
}

template <bool fixed>
__global__ void copy_never_waited_for(const float* x, float* sums) {
    float* const tile = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    copy_async<4>(tile + t, x + t, true);  // FOUND
    commit_copies();
    if (fixed) wait_for_copies<0>();
    sums[t] = x[t];
}

/// The lower half of the warp waits for the upper one in a shuffle, the upper one for the lower in another.
template <bool fixed>
__global__ void deadlock_of_half_warps(const float* x, float* sums) {
    const int t = static_cast<int>(threadIdx.x);
    float value = x[t];
    const bool low = t % warp_size < 16;
    const unsigned mask = fixed ? low ? 0x0000ffffu : 0xffff0000u : low ? 0x0001ffffu : 0xffff8000u;
    value += __shfl_xor_sync(mask, value, 1);  // FOUND
    sums[t] = value;
}

/// The destination is not in shared memory.
template <bool fixed>
__global__ void copy_to_nowhere(const float* x, float* sums) {
    float* const tile = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    copy_async<4>(fixed ? tile + t : sums + t, x + t, true);  // FOUND
    commit_copies();
    wait_for_copies<0>();
    sums[t] = x[t];
}

/// A copy within shared memory: the hardware only reads global memory so.
template <bool fixed>
__global__ void copy_from_shared_memory(const float* x, float* sums) {
    float* const tile = dynamic_shared<float>();
    const int t = static_cast<int>(threadIdx.x);
    tile[t] = x[t];
    copy_async<4>(tile + threads + t, fixed ? x + t : tile + t, true);  // FOUND
    commit_copies();
    wait_for_copies<0>();
    sums[t] = x[t];
}

__global__ void barriers(int count) {
    for (int k = 0; k < count; ++k) __syncthreads();
}

template <bool fixed>
std::vector<Seed> seeds() {
#define SEED(name, blocks)                                                                                           \
    Seed {                                                                                                           \
        #name,                                                                                                       \
            [](const Bench& b) { launch(name<fixed>, dim3(blocks), dim3(threads), b.shared, nullptr, b.x, b.sums); } \
    }
    return {
        SEED(missing_barrier_at_loop_end, 1),
        SEED(missing_row_bound, 1),
        SEED(half_of_what_another_writes, 1),
        SEED(byte_of_two_threads, 1),
        SEED(last_copy_group_not_waited_for, 1),
        SEED(barrier_in_divergent_code, 1),
        SEED(missing_barrier_after_panel_solve, 1),
        SEED(read_of_unwritten_shared_memory, 1),
        SEED(local_array_overrun, 1),
        SEED(race_between_blocks, 2),
        SEED(shuffle_instead_of_syncwarp, 1),
        SEED(shuffle_in_divergent_code, 1),
        Seed{"pointer_of_the_host",
             [](const Bench& b) {
                 const std::vector<float> host(threads, 1.0f);
                 launch(pointer_of_the_host<fixed>, dim3(1), dim3(threads), b.shared, nullptr, b.x, b.sums,
                        host.data());
             }},
        SEED(sum_without_atomics, 1),
        SEED(copy_never_waited_for, 1),
        SEED(deadlock_of_half_warps, 1),
        SEED(copy_to_nowhere, 1),
        SEED(copy_from_shared_memory, 1),
    };
#undef SEED
}

}  // namespace

const std::vector<Seed>& seeded_bugs(bool fixed) {
    static const std::vector<Seed> buggy = seeds<false>(), twins = seeds<true>();
    return fixed ? twins : buggy;
}

void run_barriers(int blocks, int count) {
    launch(barriers, dim3(static_cast<unsigned>(blocks)), dim3(256), 0, nullptr, count);
}

}  // namespace curvblas::CURVBLAS_BACKEND
