// The functions that instrumented code calls. The kernels of the checked build are compiled with -fsanitize=thread and
// -fsanitize=bounds, but linked with these instead of the sanitizers' own libraries. This file is not instrumented.
#include <cstdint>

#include "emu/block.h"
#include "emu/check.h"
#include "emu/finding.h"

using curvblas::emulator::Access;
using curvblas::emulator::check_access;

namespace {

const bool switched_on = curvblas::emulator::checking = true;

}  // namespace

#define CURVBLAS_HOOK(name, bytes, access) \
    void name(void* p) { check_access<bytes, Access::access>(p, __builtin_return_address(0)); }
#define CURVBLAS_HOOKS(bytes)                                         \
    CURVBLAS_HOOK(__tsan_read##bytes, bytes, read)                    \
    CURVBLAS_HOOK(__tsan_write##bytes, bytes, write)                  \
    CURVBLAS_HOOK(__tsan_unaligned_read##bytes, bytes, read)          \
    CURVBLAS_HOOK(__tsan_unaligned_write##bytes, bytes, write)        \
    CURVBLAS_HOOK(__tsan_volatile_read##bytes, bytes, read)           \
    CURVBLAS_HOOK(__tsan_volatile_write##bytes, bytes, write)         \
    CURVBLAS_HOOK(__tsan_unaligned_volatile_read##bytes, bytes, read) \
    CURVBLAS_HOOK(__tsan_unaligned_volatile_write##bytes, bytes, write)

extern "C" {

CURVBLAS_HOOKS(1)
CURVBLAS_HOOKS(2)
CURVBLAS_HOOKS(4)
CURVBLAS_HOOKS(8)
CURVBLAS_HOOKS(16)

void __tsan_read_range(void* p, std::size_t bytes) {
    check_access(p, bytes, Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* p, std::size_t bytes) {
    check_access(p, bytes, Access::write, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_vptr_update(void**, void*) {}  // of host code in the kernels' files
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

// -fsanitize=bounds: an index beyond a local array. The compiler hands over where it stands in the source.
struct BoundsData {
    const char* file;
    std::uint32_t line, column;
    const void *array_type, *index_type;
};
void __ubsan_handle_out_of_bounds_abort(BoundsData* data, std::uintptr_t index) {
    if (!curvblas::emulator::running.is_kernel()) __builtin_trap();  // host code
    curvblas::emulator::found("local array overrun: index ", static_cast<std::intptr_t>(index), " at ",
                              curvblas::emulator::text_of({data->file, static_cast<int>(data->line)}));
}
}
