// What the emulator has to say about a kernel: an error that names kernel, source line, block and thread.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "core/require.h"
#include "emu/site.h"

namespace curvblas::emulator {

/// Thrown by the launch of a kernel that broke a rule. The kernel was abandoned where it did.
struct Finding : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// "update_factors.cu:120 in stage_rows, inlined at update_factors.cu:180 in sum_tiles" for an address of code.
std::string source_of(const void* code);
/// "called at ..." for the functions between the running code and its kernel, a line each.
std::string callers();
/// The name of the function that begins at this address.
std::string function_at(const void* code);
std::string text_of(const Site& site);

/// Abandons the running kernel: its launch throws a Finding with this text and who is running. Does not return to the
/// thread that called it.
[[noreturn]] void abandon(const std::string& what);

template <class... Parts>
[[noreturn]] void found(const Parts&... parts) {
    abandon(sentence(parts...));
}

}  // namespace curvblas::emulator
