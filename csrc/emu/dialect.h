// CUDA's built-ins for kernels that are compiled as plain C++. Included by cuda/dialect.h only.
#pragma once

#include <math.h>  // not cmath: CUDA has these functions for all types, and outside of std
#include <bit>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "emu/block.h"
#include "emu/copies.h"

#define __global__ __attribute__((noinline))  // so that a kernel has a name and lines of its own
#define __device__
#define __launch_bounds__(...)
// What moves arguments between the host and a kernel, or between lanes, is no part of the kernel: it is not checked.
#define CURVBLAS_EMU_UNCHECKED __attribute__((no_sanitize("thread")))

#define threadIdx (curvblas::emulator::thread_index())
#define blockIdx (curvblas::emulator::block_index())
#define blockDim (curvblas::emulator::block_shape())

using dim3 = curvblas::emulator::Index3;

namespace curvblas::emulator {

CURVBLAS_EMU_UNCHECKED inline Index3 thread_index() { return running.current->index; }
CURVBLAS_EMU_UNCHECKED inline Index3 block_index() { return running.block_index; }
CURVBLAS_EMU_UNCHECKED inline Index3 block_shape() { return running.block; }
CURVBLAS_EMU_UNCHECKED inline unsigned lane() { return running.current->lane; }
CURVBLAS_EMU_UNCHECKED inline std::byte* shared_memory() { return running.shared; }

}  // namespace curvblas::emulator

inline void __syncthreads(curvblas::emulator::Site site = {__builtin_FILE(), __builtin_LINE()}) {
    curvblas::emulator::running.barrier(site);
}
inline void __syncwarp(unsigned mask = ~0u, curvblas::emulator::Site site = {__builtin_FILE(), __builtin_LINE()}) {
    curvblas::emulator::running.sync_warp(mask, site);
}

namespace curvblas::emulator {

template <class T>
struct ShuffleOperands {
    T value;
    int source;  ///< a lane
    T result;

    static void compute(void* const* lanes, unsigned mask) {
        for (int k = 0; k < 32; ++k) {
            if (!(mask >> k & 1)) continue;
            auto& own = *static_cast<ShuffleOperands*>(lanes[k]);
            const bool named = own.source >= 0 && own.source < 32 && (mask >> own.source & 1);
            own.result = named ? static_cast<const ShuffleOperands*>(lanes[own.source])->value : own.value;
        }
    }
};

template <class T>
CURVBLAS_EMU_UNCHECKED T shuffle(unsigned mask, T value, int source, const char* name, Site site) {
    ShuffleOperands<T> operands{value, source, {}};
    running.collective(mask, name, &operands, &ShuffleOperands<T>::compute, site);
    return operands.result;
}

/// old value; the word becomes f(old). One step, as far as other threads can see.
template <class T, class F>
CURVBLAS_EMU_UNCHECKED T atomic(T* word, const F& f) {
    check_atomic(word, sizeof(T));
    const T old = *word;
    *word = f(old);
    return old;
}

/// Calls the kernel with the arguments of the launch.
template <class... P>
struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;

    CURVBLAS_EMU_UNCHECKED static void run(const void* call) {
        expand(*static_cast<const Call*>(call), std::index_sequence_for<P...>{});
    }
    template <std::size_t... I>
    CURVBLAS_EMU_UNCHECKED static void expand(const Call& call, std::index_sequence<I...>) {
        call.kernel(std::get<I>(call.arguments)...);
    }
};

}  // namespace curvblas::emulator

template <class T>
CURVBLAS_EMU_UNCHECKED T __shfl_xor_sync(unsigned mask, T value, int lanes,
                                         curvblas::emulator::Site site = {__builtin_FILE(), __builtin_LINE()}) {
    const int source = static_cast<int>(curvblas::emulator::lane()) ^ lanes;
    return curvblas::emulator::shuffle(mask, value, source, "__shfl_xor_sync", site);
}
inline unsigned __ballot_sync(unsigned mask, bool predicate,
                              curvblas::emulator::Site site = {__builtin_FILE(), __builtin_LINE()}) {
    return curvblas::emulator::ballot(mask, predicate, "__ballot_sync", site);
}

template <class T>
T atomicOr(T* word, T bits) {
    return curvblas::emulator::atomic(word, [&](T old) { return old | bits; });
}
template <class T>
T atomicAdd(T* word, T addend) {
    static_assert(std::is_integral_v<T>, "floating-point sums in the order of the scheduler are not deterministic");
    return curvblas::emulator::atomic(word, [&](T old) { return static_cast<T>(old + addend); });
}

template <class T>
T min(T a, T b) {
    return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
    return a < b ? b : a;
}
