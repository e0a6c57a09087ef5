// The language of the kernels: the little of CUDA that they may use. Under nvcc it is CUDA; in the emulation
// (CURVBLAS_EMULATE_CUDA) it is plain C++. The only file that includes CUDA's headers or holds inline PTX.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "cuda/runtime.h"

#ifdef CURVBLAS_EMULATE_CUDA
#include "emu/dialect.h"
#else
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <new>
#include <stdexcept>

#include "core/require.h"
#endif

namespace curvblas::CURVBLAS_BACKEND {

#ifndef CURVBLAS_EMULATE_CUDA
/// What CUDA reports becomes an exception.
inline void check(cudaError_t error) {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // so that it is not reported again
    if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
    throw std::runtime_error(sentence("CUDA: ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ")"));
}
#endif

constexpr int warp_size = 32;
constexpr unsigned whole_warp = 0xffffffffu;

/// Queues a kernel. An empty grid queues nothing. What the launch itself reports is an exception.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, Stream stream,
            const Arguments&... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#ifdef CURVBLAS_EMULATE_CUDA
    (void)stream;
    using Call = emulator::Call<Parameters...>;
    const Call call{kernel, {static_cast<Parameters>(arguments)...}};
    emulator::running.run(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, &Call::run, &call);
#else
    constexpr std::size_t without_asking = 48 << 10;
    if (shared_bytes > without_asking) {
        // The limit belongs to the kernel, not to this launch: always the device's own, whatever other threads launch.
        int most = 0;
        check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, current_device()));
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
    }
    cudaLaunchConfig_t config{};
    config.gridDim = grid, config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes, config.stream = static_cast<cudaStream_t>(stream);
    check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
#endif
}

/// The block's dynamic shared memory, 16-byte aligned. All carve the same bytes.
template <class T>
__device__ T* dynamic_shared() {
#ifdef CURVBLAS_EMULATE_CUDA
    return reinterpret_cast<T*>(emulator::shared_memory());
#else
    extern __shared__ __align__(16) unsigned char bytes[];
    return reinterpret_cast<T*>(bytes);
#endif
}

/// Copies 4, 8 or 16 bytes from global to shared memory in the background; zeros where not `valid` (`from` must be a
/// pointer to readable memory all the same). Both are aligned to their size.
#ifdef CURVBLAS_EMULATE_CUDA
template <int bytes>
void copy_async(void* to, const void* from, bool valid, emulator::Site site = {__builtin_FILE(), __builtin_LINE()}) {
    emulator::issue_copy(to, from, bytes, valid, site);
}
#else
template <int bytes>
__device__ void copy_async(void* to, const void* from, bool valid) {
    const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
    const int read = valid ? bytes : 0;
    if constexpr (bytes == 16)  // past the first-level cache
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(read) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(bytes), "r"(read)
                     : "memory");
}
#endif

/// Closes a group of copies: those of this thread since the last call.
__device__ inline void commit_copies() {
#ifdef CURVBLAS_EMULATE_CUDA
    emulator::commit_copies();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until all but the last `groups` groups of this thread have arrived. Other threads see them after a barrier.
template <int groups>
__device__ void wait_for_copies() {
#ifdef CURVBLAS_EMULATE_CUDA
    emulator::wait_for_copies(groups);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#endif
}

__device__ inline float widen_bfloat16(std::uint16_t bits) {
#ifdef CURVBLAS_EMULATE_CUDA
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
#else
    return __uint_as_float(static_cast<unsigned>(bits) << 16);
#endif
}

__device__ inline float widen_float16(std::uint16_t bits) {
#ifdef CURVBLAS_EMULATE_CUDA
    // The magnitude, shifted into a float32's exponent and mantissa, is 2^-112 of the value, subnormals included.
    const float size = std::bit_cast<float>((bits & 0x7fffu) << 13) * 0x1p112f;
    const bool finite = (bits & 0x7c00u) != 0x7c00u;
    const std::uint32_t magnitude = finite ? std::bit_cast<std::uint32_t>(size) : 0x7f800000u | (bits & 0x3ffu) << 13;
    return std::bit_cast<float>((bits & 0x8000u) << 16 | magnitude);
#else
    return __half2float(__ushort_as_half(bits));
#endif
}

}  // namespace curvblas::CURVBLAS_BACKEND
