// What the host asks of a device: memory in the order of a stream, copies, order between streams. No CUDA header is
// needed to use it. runtime.cu defines it over CUDA, emu/runtime.cpp over the emulator.
#pragma once

#include <cstddef>
#include <string>

namespace curvblas::CURVBLAS_BACKEND {

using Stream = void*;  ///< a cudaStream_t

/// Uninitialised, 256-byte aligned; for work that is queued on the stream from now on. std::bad_alloc if there is none.
void* allocate(std::size_t bytes, Stream stream);
/// Gives it back when what is queued on the stream until now is done.
void release(void* memory, Stream stream) noexcept;
/// Gives it back when the device has nothing to do any more, which it waits for.
void release_when_idle(void* memory, int device) noexcept;
/// The source may be changed when upload returns. Up to 1 MiB goes through pinned memory of our own, and nothing waits;
/// above that, it waits for the stream.
void upload(void* device, const void* host, std::size_t bytes, Stream stream);
/// Waits for everything queued on the stream.
void download(void* host, const void* device, std::size_t bytes, Stream stream);
/// What is queued on `later` from now on begins after what is queued on `earlier` until now.
void order_after(Stream later, Stream earlier);

/// The allocation that holds an address; `device` is -1 where it is not in a device's memory. `end` is far away where
/// the driver does not know.
struct Allocation {
    const std::byte *begin, *end;
    int device;
};
Allocation allocation_of(const void* address);

int current_device();

/// Makes a device the current one of this OS thread while it lives. -1: leaves the current one.
class OnDevice {
  public:
    explicit OnDevice(int device);
    ~OnDevice();
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

  private:
    int before_ = -1;
};

/// The name of device 0, and why there is none: one of them is empty.
std::string device_name();
std::string why_not_usable();

}  // namespace curvblas::CURVBLAS_BACKEND
