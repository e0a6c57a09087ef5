#include "cuda/runtime.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "cuda/dialect.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

cudaStream_t cuda_stream(Stream stream) { return static_cast<cudaStream_t>(stream); }

/// The driver's function for the bounds of an allocation: the runtime has none.
auto address_range() {
    using Function = CUresult (*)(CUdeviceptr*, std::size_t*, CUdeviceptr);
    static const auto function = [] {
        void* entry = nullptr;
        cudaDriverEntryPointQueryResult found;
        const auto error =
            cudaGetDriverEntryPointByVersion("cuMemGetAddressRange", &entry, 12000, cudaEnableDefault, &found);
        return error == cudaSuccess ? reinterpret_cast<Function>(entry) : nullptr;
    }();
    return function;
}

constexpr std::size_t most_staged = std::size_t{1} << 20;

/// Pinned memory on its way to a device until `copied` has happened. Kept for the life of the process.
struct StagingBuffer {
    void* memory;
    std::size_t bytes;
    cudaEvent_t copied;
};
std::mutex staging_mutex;
std::map<int, std::deque<StagingBuffer>> staging_buffers;  // by device

StagingBuffer& idle_staging_buffer(int device, std::size_t bytes) {
    std::deque<StagingBuffer>& buffers = staging_buffers[device];
    for (StagingBuffer& buffer : buffers)
        if (buffer.bytes >= bytes && cudaEventQuery(buffer.copied) == cudaSuccess) return buffer;
    cudaGetLastError();  // "not ready" is no error
    StagingBuffer made{nullptr, std::bit_ceil(std::max(bytes, std::size_t{4096})), nullptr};
    check(cudaEventCreateWithFlags(&made.copied, cudaEventDisableTiming));
    check(cudaHostAlloc(&made.memory, made.bytes, cudaHostAllocPortable));
    return buffers.emplace_back(made);
}

}  // namespace

void* allocate(std::size_t bytes, Stream stream) {
    void* memory = nullptr;
    check(cudaMallocAsync(&memory, bytes > 0 ? bytes : 1, cuda_stream(stream)));
    return memory;
}

void release(void* memory, Stream stream) noexcept { cudaFreeAsync(memory, cuda_stream(stream)); }

void release_when_idle(void* memory, int device) noexcept {
    const OnDevice current(device);
    cudaDeviceSynchronize();  // cudaFree alone does not wait where the memory came from a pool
    cudaFree(memory);
}

void upload(void* device, const void* host, std::size_t bytes, Stream stream) {
    if (bytes == 0) return;
    if (bytes > most_staged) {
        check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, cuda_stream(stream)));
        check(cudaStreamSynchronize(cuda_stream(stream)));
        return;
    }
    // A copy from pageable memory may wait for the stream, or on some machines read the source later.
    const std::lock_guard lock(staging_mutex);
    StagingBuffer& buffer = idle_staging_buffer(current_device(), bytes);
    std::memcpy(buffer.memory, host, bytes);
    check(cudaMemcpyAsync(device, buffer.memory, bytes, cudaMemcpyHostToDevice, cuda_stream(stream)));
    check(cudaEventRecord(buffer.copied, cuda_stream(stream)));
}

void download(void* host, const void* device, std::size_t bytes, Stream stream) {
    if (bytes > 0) check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, cuda_stream(stream)));
    check(cudaStreamSynchronize(cuda_stream(stream)));
}

void order_after(Stream later, Stream earlier) {
    if (later == earlier) return;
    cudaEvent_t event;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    const cudaError_t recorded = cudaEventRecord(event, cuda_stream(earlier));
    const cudaError_t waited = recorded ? recorded : cudaStreamWaitEvent(cuda_stream(later), event, 0);
    cudaEventDestroy(event);  // takes effect when it has happened
    check(waited);
}

Allocation allocation_of(const void* address) {
    cudaPointerAttributes attributes;
    if (cudaPointerGetAttributes(&attributes, address) != cudaSuccess) {
        cudaGetLastError();
        return {nullptr, nullptr, -1};
    }
    if (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeManaged)
        return {nullptr, nullptr, -1};
    CUdeviceptr begin = 0;
    std::size_t bytes = 0;
    const auto range = address_range();
    const OnDevice current(attributes.device);
    if (!range || range(&begin, &bytes, reinterpret_cast<CUdeviceptr>(address)) != CUDA_SUCCESS)
        begin = 0, bytes = PTRDIFF_MAX;
    const auto* const first = reinterpret_cast<const std::byte*>(begin);
    return {first, reinterpret_cast<const std::byte*>(begin + bytes), attributes.device};
}

int current_device() {
    int device = 0;
    check(cudaGetDevice(&device));
    return device;
}

OnDevice::OnDevice(int device) {
    if (device < 0) return;
    check(cudaGetDevice(&before_));
    if (device == before_)
        before_ = -1;
    else
        check(cudaSetDevice(device));
}

OnDevice::~OnDevice() {
    if (before_ >= 0) cudaSetDevice(before_);
}

std::string device_name() {
    cudaDeviceProp properties;
    return cudaGetDeviceProperties(&properties, 0) == cudaSuccess ? properties.name : "";
}

std::string why_not_usable() {
    int driver = 0, devices = 0;
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) return "there is no NVIDIA driver";
    const cudaError_t error = cudaGetDeviceCount(&devices);
    cudaGetLastError();
    if (error != cudaSuccess) return cudaGetErrorString(error);
    if (devices == 0) return "there is no CUDA device";
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    return major >= 8 ? "" : sentence(device_name(), " has compute capability ", major, ".x, and 8.0 is needed");
}

}  // namespace curvblas::CURVBLAS_BACKEND
