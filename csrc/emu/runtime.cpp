// The host's side of the device (cuda/runtime.h) over the emulator: everything happens at once, in the order of calls.
#include "cuda/runtime.h"

#include "emu/memory.h"
#include "emu/streams.h"

namespace curvblas::CURVBLAS_BACKEND {

using curvblas::emulator::Memory;

void* allocate(std::size_t bytes, Stream) { return Memory::instance().allocate(bytes); }

void release(void* memory, Stream) noexcept { Memory::instance().release(static_cast<std::byte*>(memory)); }

void release_when_idle(void* memory, int) noexcept { release(memory, nullptr); }

void upload(void* device, const void* host, std::size_t bytes, Stream) {
    Memory::instance().upload(static_cast<std::byte*>(device), host, bytes);
}

void download(void* host, const void* device, std::size_t bytes, Stream) {
    Memory::instance().download(host, static_cast<const std::byte*>(device), bytes);
}

void order_after(Stream later, Stream earlier) {
    if (later != earlier) emulator::stream_orders.push_back({later, earlier});
}

Allocation allocation_of(const void* address) {
    const Memory::Allocation found = Memory::instance().find_from_host(address);
    return {found.begin, found.end, found.begin ? 0 : -1};
}

int current_device() { return 0; }

OnDevice::OnDevice(int) {}
OnDevice::~OnDevice() = default;

std::string device_name() { return "the emulator"; }
std::string why_not_usable() { return ""; }

}  // namespace curvblas::CURVBLAS_BACKEND
