#include "cuda/runtime.h"

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

}  // namespace

void* allocate(std::size_t bytes, Stream stream) {
    void* memory = nullptr;
    check(cudaMallocAsync(&memory, bytes > 0 ? bytes : 1, cuda_stream(stream)));
    return memory;
}

void release(void* memory, Stream stream) noexcept { cudaFreeAsync(memory, cuda_stream(stream)); }

void release_when_idle(void* memory) noexcept { cudaFree(memory); }

void upload(void* device, const void* host, std::size_t bytes, Stream stream) {
    // From pageable memory: CUDA copies it away before it returns.
    if (bytes > 0) check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, cuda_stream(stream)));
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
    if (!range || range(&begin, &bytes, reinterpret_cast<CUdeviceptr>(address)) != CUDA_SUCCESS)
        begin = 0, bytes = SIZE_MAX;  // not known
    const auto* const first = reinterpret_cast<const std::byte*>(begin);
    return {first, reinterpret_cast<const std::byte*>(begin + bytes), attributes.device};
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
    int devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    cudaGetLastError();
    if (error != cudaSuccess) return cudaGetErrorString(error);
    return devices > 0 ? "" : "there is no CUDA device";
}

}  // namespace curvblas::CURVBLAS_BACKEND
